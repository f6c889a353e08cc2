/* The words of the text, side by side in both languages. Pure. */
#include "query/text.h"

static const char *const words[WORDS][LANGUAGES] = {
    [WORD_TITLE] = {"tinh giản biên chế và sắp xếp đơn vị", "payroll reduction and unit mergers"},
    [WORD_AS_OF] = {"Có hiệu lực đến hết ngày", "In effect by the end of"},
    [WORD_UPDATED] = {"Cập nhật", "Updated"},
    [WORD_NOTHING_YET] = {"Chưa có số liệu", "No data yet"},
    [WORD_READ] = {"đọc lúc", "read"},
    [WORD_ZONE] = {"", " (UTC+7)"}, /* a reader of Vietnamese takes it for granted */
    [WORD_VERSION] = {"phiên bản", "version"},
    [WORD_LAG_NONE] = {"không còn bản ghi chờ trong Kafka", "nothing waits in Kafka"},
    [WORD_LAG] = {"bản ghi còn chờ trong Kafka", "records wait in Kafka"},
    [WORD_LAG_ONE] = {"bản ghi còn chờ trong Kafka", "record waits in Kafka"},
    [WORD_LAG_UNKNOWN] = {"không hỏi được Kafka", "Kafka can't be asked"},
    [WORD_STALE_BEFORE] = {"Không đọc được Redis. Đây là số liệu cách đây ", "Redis can't be read. These totals are "},
    [WORD_STALE_AFTER] = {"", " old"},
    [WORD_GOAL] = {"Mục tiêu: giảm 10% đến", "Goal: 10% less by"},
    [WORD_MISSING_BEFORE] = {"còn phải giảm ", ""},
    [WORD_MISSING_AFTER] = {" biên chế", " posts to go"},
    [WORD_GOAL_MET] = {"Đã đạt mục tiêu giảm 10% đến", "Goal met: 10% less by"},
    [WORD_NO_BASELINE] = {"Chưa có mốc 2015 nên chưa tính được tỷ lệ giảm", "No baseline of 2015 yet, so no percentage"},
    [WORD_LATER] = {"Số hiện nay đã tính cả phần có hiệu lực sau hôm nay", "Now includes what takes effect after today"},
    [WORD_HEADCOUNT] = {"BIÊN CHẾ", "PAYROLL"},
    [WORD_BASELINE] = {"Mốc 2015", "In 2015"},
    [WORD_NOW] = {"Hiện nay", "Now"},
    [WORD_THEN] = {"Khi đó", "Then"},
    [WORD_REDUCTION] = {"Đã giảm", "Reduction"},
    [WORD_PERCENT] = {"Tỷ lệ giảm", "Percent"},
    [WORD_WHOLE_CITY] = {"Toàn thành phố", "Whole city"},
    [WORD_UNITS] = {"ĐƠN VỊ", "UNITS"},
    [WORD_CHANGE] = {"Tăng/giảm", "Change"},
    [WORD_MERGED] = {"Sáp nhập", "Merged"},
    [WORD_MERGERS] = {"Số lần", "Mergers"},
    [WORD_PILOTS] = {"THÍ ĐIỂM HỢP NHẤT", "MERGED-AGENCY PILOTS"},
    [WORD_PILOTS_NONE] = {"chưa có", "none"},
    [WORD_MODEL] = {"mô hình", "model"},
    [WORD_MODELS] = {"mô hình", "models"},
    [WORD_DISTRICT] = {"quận, huyện", "district"},
    [WORD_DISTRICTS] = {"quận, huyện", "districts"},
    [WORD_IN] = {"ở", "in"},
    [WORD_VISITORS] = {"THỐNG KÊ TRUY CẬP", "PORTAL VISITS"},
    [WORD_ONLINE] = {"Đang online", "Online now"},
    [WORD_TODAY] = {"Hôm nay", "Today"},
    [WORD_WEEK] = {"Trong tuần", "This week"},
    [WORD_ALL] = {"Tất cả", "All time"},
    [WORD_VISITOR_TODAY] = {"khách hôm nay", "visitor today"},
    [WORD_VISITORS_TODAY] = {"khách hôm nay", "visitors today"},
    [WORD_EVENT] = {"sự kiện đã tính", "event counted"},
    [WORD_EVENTS] = {"sự kiện đã tính", "events counted"},
    [WORD_LETTER] = {"bản ghi không tính được (dead letter)", "dead letter"},
    [WORD_LETTERS] = {"bản ghi không tính được (dead letters)", "dead letters"},
    [WORD_SECONDS] = {"giây", "s"},
    [WORD_MINUTES] = {"phút", "min"},
    [WORD_HOURS] = {"giờ", "h"},
    [WORD_QUIT] = {"q hoặc Ctrl-C: thoát", "q or Ctrl-C: quit"},
    [WORD_MORE_LINES] = {"dòng nữa ở dưới", "more lines below"},
    [WORD_DAYS] = {"ngày", "days"},
};

const char *text_word(enum language language, enum word word)
{
    return words[word][language];
}

const char *text_sector(enum language language, enum sector sector)
{
    static const char *const names[SECTORS][LANGUAGES] = {
        [SECTOR_ADMINISTRATIVE] = {"Hành chính", "Administrative"},
        [SECTOR_PUBLIC_SERVICE] = {"Sự nghiệp công lập", "Public service"},
        [SECTOR_COMMUNE] = {"Cấp xã", "Communes"},
    };
    return names[sector][language];
}

const char *text_category(enum language language, enum unit_category category)
{
    static const char *const names[CATEGORIES][LANGUAGES] = {
        [CATEGORY_CITY_AGENCY] = {"Cơ quan cấp thành phố", "City agencies"},
        [CATEGORY_CITY_DIVISION] = {"Phòng, chi cục thuộc sở", "Divisions of agencies"},
        [CATEGORY_DISTRICT_DIVISION] = {"Phòng ban cấp huyện", "District divisions"},
        [CATEGORY_PUBLIC_SERVICE_UNIT] = {"Đơn vị sự nghiệp công lập", "Public service units"},
        [CATEGORY_COMMUNE] = {"Xã, phường, thị trấn", "Communes and wards"},
    };
    return names[category][language];
}

const char *text_reason(enum language language, enum headcount_reason reason)
{
    static const char *const names[REASONS] = {
        [REASON_BASELINE] = "mốc 2015",          [REASON_STREAMLINED] = "tinh giản",         [REASON_RETIRED] = "nghỉ hưu",
        [REASON_RESIGNED] = "thôi việc",         [REASON_TRANSFERRED_IN] = "chuyển đến",     [REASON_TRANSFERRED_OUT] = "chuyển đi",
        [REASON_RECRUITED] = "tuyển dụng",       [REASON_CORRECTION] = "đính chính",
    };
    return language == LANGUAGE_VI ? names[reason] : headcount_reason_name(reason);
}

const char *text_kind(enum language language, enum merger_kind kind)
{
    static const char *const names[KINDS] = {
        [KIND_BASELINE] = "mốc 2015",       [KIND_MERGER] = "sáp nhập",        [KIND_DISSOLUTION] = "giải thể",
        [KIND_ESTABLISHMENT] = "thành lập", [KIND_REARRANGEMENT] = "sắp xếp",  [KIND_CORRECTION] = "đính chính",
    };
    return language == LANGUAGE_VI ? names[kind] : merger_kind_name(kind);
}

const char *text_city_name(enum language language, const char *city)
{
    if (strcmp(city, "haiphong") != 0)
        return city;
    return language == LANGUAGE_VI ? "Hải Phòng" : "Hai Phong";
}

const char *text_district_name(const char *city, const char *district)
{
    static const struct {
        const char *id, *name;
    } districts[] = {
        {"an-duong", "An Dương"},   {"an-lao", "An Lão"},       {"bach-long-vi", "Bạch Long Vĩ"},
        {"cat-hai", "Cát Hải"},     {"do-son", "Đồ Sơn"},       {"duong-kinh", "Dương Kinh"},
        {"hai-an", "Hải An"},       {"hong-bang", "Hồng Bàng"}, {"kien-an", "Kiến An"},
        {"kien-thuy", "Kiến Thụy"}, {"le-chan", "Lê Chân"},     {"ngo-quyen", "Ngô Quyền"},
        {"thuy-nguyen", "Thủy Nguyên"}, {"tien-lang", "Tiên Lãng"}, {"vinh-bao", "Vĩnh Bảo"},
    };
    for (size_t i = 0; strcmp(city, "haiphong") == 0 && i < sizeof districts / sizeof *districts; i++)
        if (strcmp(districts[i].id, district) == 0)
            return districts[i].name;
    return district;
}

const char *text_model_name(enum language language, const char *model)
{
    static const struct {
        const char *id, *name[LANGUAGES];
    } models[] = {
        {"inspection-and-control", {"Kiểm tra – Thanh tra", "Control – Inspectorate"}},
        {"joint-office", {"Văn phòng chung", "Joint office"}},
        {"mass-mobilisation", {"Dân vận – Mặt trận, đoàn thể", "Mass mobilisation – Fatherland Front"}},
        {"personnel-and-organisation", {"Tổ chức – Nội vụ", "Organisation – Home affairs"}},
    };
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (strcmp(models[i].id, model) == 0)
            return models[i].name[language];
    return model;
}
