/* The public header in C++: it compiles as that, its calls are C's, and its values fit what C++ has for owning them. */
#include "library/citytotals.h"

#include <cstdio>
#include <memory>
#include <string>

namespace {

struct Free {
    void operator()(citytotals_options *options) const { citytotals_options_free(options); }
    void operator()(citytotals_event *event) const { citytotals_event_free(event); }
    void operator()(citytotals_error *error) const { citytotals_error_free(error); }
    void operator()(citytotals_client *client) const { citytotals_close(client, 0, nullptr); }
};
template <typename T> using Owned = std::unique_ptr<T, Free>;

void on_delivery(void *, const citytotals_delivery *) {}

int fail(const char *what, citytotals_error *error)
{
    std::fprintf(stderr, "%s: %s\n", what, citytotals_error_text(error));
    return 1;
}

} // namespace

int main()
{
    citytotals_error *error = nullptr;
    Owned<citytotals_options> options(citytotals_options_new());
    if (citytotals_options_set(options.get(), "check-only", "true", &error) != CITYTOTALS_OK ||
        citytotals_options_set(options.get(), "source", "hong-bang", &error) != CITYTOTALS_OK ||
        citytotals_options_on_delivery(options.get(), on_delivery, nullptr, &error) != CITYTOTALS_OK)
        return fail("options", error);
    citytotals_client *opened = nullptr;
    if (citytotals_open(options.get(), &opened, &error) != CITYTOTALS_OK)
        return fail("open", error);
    Owned<citytotals_client> client(opened);
    Owned<citytotals_event> event(citytotals_event_new());
    citytotals_event_set(event.get(), "type", "headcount-change", nullptr);
    if (citytotals_check(client.get(), event.get(), nullptr, &error) != CITYTOTALS_EVENT)
        return fail("an event with a type alone is good", error);
    Owned<citytotals_error> refused(error);
    std::string fields;
    for (size_t i = 0; i < citytotals_error_fault_count(refused.get()); i++)
        fields += std::string(citytotals_error_fault_field(refused.get(), i)) + " ";
    return fields.find("agency ") != std::string::npos && fields.find("delta ") != std::string::npos ? 0 : fail(fields.c_str(), nullptr);
}
