// Words and numbers as the page's language writes them; the same forms as the server's.
export const LANGUAGES = {
  vi: {
    live: "Trực tiếp", waiting: "Đang nối lại…", met: "Đã đạt mục tiêu", noBaseline: "Chưa có mốc 2015 nên chưa tính được tỷ lệ giảm",
    missing: (number) => `còn phải giảm ${number} biên chế`, nothing: "Chưa có số liệu", later: "từ sau hôm nay", reversed: "hủy bỏ",
    spoken: (now, percent) => `Biên chế hiện nay ${now}, tỷ lệ giảm ${percent}`, chart: "Biểu đồ: dùng phím mũi tên để xem từng thời điểm",
    goal: "Mục tiêu 10% đến 31/12/2021", yes: "có", no: "không", model: "Mô hình", failed: "Không tải được. Hãy thử lại.",
    baseline: "Mốc 2015", now: "Hiện nay", reduction: "Đã giảm", percent: "Tỷ lệ giảm", effective: "Hiệu lực", what: "Nội dung",
    number: "Số", source: "Nguồn", decision: "Quyết định", none: "Chưa có thay đổi nào được ghi",
    visits: "Thống kê truy cập", online: "Đang online", today: "Hôm nay", week: "Trong tuần", all: "Tất cả", payroll: "Tinh giản biên chế",
    sectors: { administrative: "Hành chính", public_service: "Sự nghiệp công lập", commune: "Cấp xã" },
    categories: {
      city_agency: "Cơ quan cấp thành phố", city_division: "Phòng, chi cục thuộc sở", district_division: "Phòng ban cấp huyện",
      public_service_unit: "Đơn vị sự nghiệp công lập", commune: "Xã, phường, thị trấn",
    },
    reasons: {
      baseline: "mốc", streamlined: "tinh giản", retired: "nghỉ hưu", resigned: "thôi việc", transferred_out: "chuyển đi",
      transferred_in: "chuyển đến", recruited: "tuyển dụng", correction: "đính chính", merger: "sáp nhập", rearrangement: "sắp xếp lại",
    },
    models: {
      "personnel-and-organisation": "Tổ chức – Nội vụ", "inspection-and-control": "Kiểm tra – Thanh tra",
      "joint-office": "Văn phòng chung", "mass-mobilisation": "Dân vận – Mặt trận, đoàn thể",
    },
  },
  en: {
    live: "Live", waiting: "Reconnecting…", met: "The goal is met", noBaseline: "No baseline of 2015 yet, so no percentage",
    missing: (number) => `${number} posts to go`, nothing: "No data yet", later: "after today", reversed: "reversed",
    spoken: (now, percent) => `Payroll now ${now}, reduction ${percent}`, chart: "Chart: the arrow keys move through time",
    goal: "Goal of 10% by 2021-12-31", yes: "yes", no: "no", model: "Model", failed: "It could not be loaded. Please try again.",
    baseline: "In 2015", now: "Now", reduction: "Reduction", percent: "Percent", effective: "In effect", what: "What",
    number: "Number", source: "Source", decision: "Decision", none: "No change was recorded yet",
    visits: "Portal visits", online: "Online now", today: "Today", week: "This week", all: "All time", payroll: "Payroll reduction",
    sectors: { administrative: "Administrative", public_service: "Public service", commune: "Communes" },
    categories: {
      city_agency: "City agencies", city_division: "Divisions of agencies", district_division: "District divisions",
      public_service_unit: "Public service units", commune: "Communes and wards",
    },
    reasons: {
      baseline: "baseline", streamlined: "streamlined", retired: "retired", resigned: "resigned", transferred_out: "transferred out",
      transferred_in: "transferred in", recruited: "recruited", correction: "correction", merger: "merger", rearrangement: "rearrangement",
    },
    models: {
      "personnel-and-organisation": "Organisation – Home affairs", "inspection-and-control": "Control – Inspectorate",
      "joint-office": "Joint office", "mass-mobilisation": "Mass mobilisation – Fatherland Front",
    },
  },
};

export function speaker(language) {
  const vi = !language.toLowerCase().startsWith("en");
  const words = LANGUAGES[vi ? "vi" : "en"];
  const grouped = (digits) => digits.replace(/\B(?=(\d{3})+$)/g, vi ? "." : ",");
  const number = (value, plus = false) => {
    if (value === null || value === undefined) return "–";
    return (value < 0 ? "-" : plus && value > 0 ? "+" : "") + grouped(String(Math.abs(value)));
  };
  const percent = (text) => {
    if (text === null || text === undefined) return "–";
    const [whole, part] = text.replace("-", "").split(".");
    return `${text.startsWith("-") ? "-" : ""}${grouped(whole)}${part ? (vi ? "," : ".") + part : ""}%`;
  };
  const date = (text) => vi ? text.split("-").reverse().join("/") : text;
  const time = (text) => { // the city's clock, UTC+7
    const city = new Date(Date.parse(text) + 7 * 3600e3).toISOString();
    return vi ? `${city.slice(11, 19)} ${date(city.slice(0, 10))}` : `${city.slice(0, 10)} ${city.slice(11, 19)}`;
  };
  return { language: vi ? "vi" : "en", words, number, percent, date, time };
}
