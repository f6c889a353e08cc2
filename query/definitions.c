/* What each number means, in both languages: published beside the numbers. Pure. */
#include "base/json_text.h"
#include "query/documents.h"

const struct definition definitions[] = {
    {"headcount.baseline",
     {"Tổng biên chế mốc 2015: tổng các số mốc đã báo cáo, trừ các số mốc đã hủy.",
      "Payroll of 2015: the sum of all reported baselines, less those reversed."}},
    {"headcount.current",
     {"Biên chế hiện nay: tổng mọi số tăng, giảm đã báo cáo, gồm cả mốc, dù có hiệu lực ngày nào.",
      "Payroll now: the sum of all reported changes, baselines included, whatever their dates."}},
    {"headcount.reduction", {"Biên chế đã giảm: mốc trừ hiện nay.", "Reduction: baseline less current."}},
    {"headcount.reduction_percent",
     {"Tỷ lệ giảm: đã giảm × 100 / mốc, bốn chữ số thập phân, làm tròn nửa xa số không; chưa có khi mốc không dương.",
      "Reduction in percent of the baseline, four decimals, half rounded away from zero; null while the baseline is not positive."}},
    {"headcount.target_met",
     {"Đã đạt mục tiêu khi số đã giảm ít nhất bằng 10% của mốc, so bằng số nguyên.",
      "True when the reduction is at least 10 % of the baseline, compared as integers."}},
    {"headcount.effective_later",
     {"Phần của số hiện nay có hiệu lực sau hôm nay (giờ Việt Nam).",
      "The part of current that takes effect after today (UTC+7)."}},
    {"units.baseline",
     {"Số đơn vị mốc 2015 của loại; chưa có khi chưa ai báo cáo mốc.",
      "Units of the category in 2015; null while no baseline was reported."}},
    {"units.change",
     {"Tăng, giảm so với mốc: tổng (sau − trước) của mọi lần sắp xếp.",
      "Change since the baseline: the sum of after − before of all rearrangements."}},
    {"units.current", {"Số đơn vị hiện nay: mốc cộng tăng, giảm.", "Units now: baseline plus change."}},
    {"units.merged", {"Số đơn vị đã được sáp nhập (trước khi sáp nhập).", "Units that went into mergers."}},
    {"units.mergers", {"Số lần sáp nhập.", "Number of mergers."}},
    {"pilots",
     {"Mô hình hợp nhất thí điểm theo Kết luận 34-KL/TW: số mô hình và số quận, huyện khác nhau trong các cặp còn hiệu lực.",
      "Pilots of merged agencies (Conclusion 34-KL/TW): distinct models and districts among the live pairs."}},
    {"visitors.online",
     {"Đang online: khách có lượt xem trong 5 phút vừa qua.", "Visitors seen within the last five minutes."}},
    {"visitors.today",
     {"Lượt truy cập hôm nay (giờ Việt Nam). Lượt mới bắt đầu khi khách trở lại sau ít nhất 30 phút, hoặc lần đầu trong ngày.",
      "Visits today (UTC+7). A visit begins when a visitor comes at least 30 minutes after the latest page, or first that day."}},
    {"visitors.this_week", {"Lượt truy cập từ thứ Hai đến nay.", "Visits since Monday."}},
    {"visitors.all", {"Tất cả lượt truy cập.", "All visits."}},
    {"visitors.today_visitors", {"Số khách khác nhau hôm nay.", "Distinct visitors today."}},
    {"events",
     {"Số sự kiện tổ chức khác nhau đã tính; gửi lại không tính thêm.",
      "Distinct organisational events counted; one sent again counts once."}},
    {"dead_letters",
     {"Số bản ghi không tính được, giữ lại để xem xét.", "Records that could not be counted, kept for inspection."}},
    {"as_of",
     {"Trạng thái dữ liệu: phiên bản, thời điểm bản ghi Kafka mới nhất đã tính, thời điểm đọc, số bản ghi còn chờ, có cũ hay không.",
      "State of the data: version, time of the latest Kafka record counted, time of reading, records that wait, stale or not."}},
};
const size_t definition_count = sizeof definitions / sizeof *definitions;

void definitions_json(struct buffer *out)
{
    buffer_text_append(out, "{\"definitions\":[");
    for (size_t i = 0; i < definition_count; i++) {
        buffer_printf(out, "%s{\"name\":\"%s\",\"vi\":", i ? "," : "", definitions[i].name);
        json_text_append(out, slice_of(definitions[i].text[LANGUAGE_VI]));
        buffer_text_append(out, ",\"en\":");
        json_text_append(out, slice_of(definitions[i].text[LANGUAGE_EN]));
        buffer_text_append(out, "}");
    }
    buffer_text_append(out, "]}\n");
}
