// SPDX-License-Identifier: MIT
//
// The matrix as data and as a page: what is read, what is wrong, and that the page shows all of it
// and needs nothing else.
#include "matrix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <format>

#include "demo.h"
#include "html.h"
#include "matrix_page.h"
#include "plot.h"
#include "process.h"
#include "progress.h"

namespace figment::host {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

PageTemplate form() {
  const fs::path folder = FIGMENT_MATRIX_FORM;
  return {.page = read_file(folder / "page.html"),
          .style = read_file(folder / "style.css"),
          .script = read_file(folder / "script.js")};
}

constexpr const char* kCatalogue = R"json({"version":1,
 "events":[{"name":"munmap","numbers":"14","what":"the memory is unmapped"},
           {"name":"fork","numbers":"1,2","what":"fork()"}],
 "pages":[{"name":"4k","what":"small pages","refused":null,"why":""},
          {"name":"hugetlb","what":"of hugetlbfs","refused":"EOPNOTSUPP","why":"it has its reasons"}],
 "strategies":[{"name":"fence","what":"waits","safe":true},
               {"name":"unsafe","what":"nothing","safe":false}]})json";

std::string event_row(const std::string& strategy, const std::string& event,
                      const std::string& more) {
  return R"({"strategy":")" + strategy + R"(","event":")" + event +
         R"(","rounds":20,"kernel_reports":0,"event_us":{"p50":120,"p99":400,"max":900},)"
         R"("baseline_event_us":{"p50":90,"p99":100,"max":110},)" +
         more + "}";
}

const std::string kGood =
    R"("pages":"4k","gpu_words":123456,"corrupt_words":0,"refused":null,"skipped":null,"right":true,"complaints":[])";
const std::string kCaught =
    R"("pages":"4k","gpu_words":5000,"corrupt_words":777,"refused":null,"skipped":null,"right":true)";
const std::string kRefused =
    R"("pages":"hugetlb","gpu_words":0,"corrupt_words":0,"refused":"EOPNOTSUPP","skipped":null,"right":true)";
const std::string kSkipped =
    R"("pages":"4k","gpu_words":0,"corrupt_words":0,"refused":null,"skipped":"there is no swap","right":true)";
const std::string kWrong =
    R"("pages":"4k","gpu_words":10,"corrupt_words":3,"refused":null,"skipped":null,"right":false,"complaints":["3 words are corrupt; the first: page 9"])";

std::string table_of(const std::vector<std::string>& rows, const std::string& more = "") {
  std::string text;
  for (const std::string& row : rows) text += (text.empty() ? "" : ",") + row;
  return R"({"version":1,"kernel":"7.3.4",)" + more + R"("rows":[)" + text + "]}";
}

std::string cost_row(const std::string& axis, const std::string& strategy, unsigned place,
                     double busy) {
  const bool bytes = axis == "bytes" || axis == "distribution";
  return std::format(
      R"({{"axis":"{}","strategy":"{}","processes":{},"ranges":{},"bytes":{},)"
      R"("fork_us_samples":{{"none":[900,950],"idle":[1000,1100],"busy":[{},{}]}},"bind_us":[70],)"
      R"("first_job_us":[300],"rewrite_us":[4000],"notifiers":null,"jobs":1,"gpu_words":5,)"
      R"("corrupt_words":0,"kernel_reports":0,"skipped":null,"complaints":[],"right":true}})",
      axis, strategy, axis == "processes" ? place : 1, axis == "ranges" ? place : 1,
      bytes ? place * 1048576ull : 4096, busy, busy * 2);
}

std::string growth_of(const std::vector<std::string>& rows) {
  return table_of(rows);
}

// Direct: before fork(), the parent first. Tree: read-only, bound by B between the forks.
std::string compare_row(const std::string& comparison, const std::string& user, bool gpu,
                        const std::string& more) {
  const std::string situation = comparison == "direct"
                                    ? R"("access":"write","timing":"before","first":"parent")"
                                    : R"("access":"read","binder":"B","forks_before":1)";
  return R"({"comparison":")" + comparison + R"(","user":")" + user + R"(","gpu":)" +
         (gpu ? "true" : "false") + R"(,"pages":"4k","rounds":50,"words":9000,)" + situation + "," +
         more + "}";
}

const std::string kNothingWrong =
    R"("wrong_rounds":0,"lost_words":0,"leaked_words":0,"saw":[],"skipped":null,"complaints":[],"right":true)";
const std::string kLeaked =
    R"("wrong_rounds":12,"lost_words":5,"leaked_words":64,"saw":[{"viewer":"B","whose":"user","judgement":"leaked","words":64},)"
    R"({"viewer":"user","whose":"A","judgement":"lost","words":5}],"skipped":null,"complaints":[],"right":true)";
const std::string kNoDisk =
    R"("wrong_rounds":0,"lost_words":0,"leaked_words":0,"saw":[],"skipped":"there is no nbd","complaints":[],"right":true)";
const std::string kBlind =
    R"("wrong_rounds":0,"lost_words":0,"leaked_words":0,"saw":[],"skipped":null,"complaints":["the detector is blind"],"right":false)";

MatrixPart whole(const std::string& name, std::uint64_t rows) {
  return {.name = name, .planned = rows, .done = rows, .status = 0, .ended = true};
}

Matrix good_matrix() {
  Matrix matrix;
  matrix.command = "./figment matrix --quick";
  matrix.seed = 7;
  add_catalogue(matrix, kCatalogue);
  add_table(
      matrix,
      table_of({event_row("fence", "munmap", kGood), event_row("unsafe", "fork", kCaught),
                event_row("fence", "fork", kRefused), event_row("unsafe", "munmap", kSkipped)}));
  add_growth(matrix, growth_of({cost_row("distribution", "fence", 64, 5000),
                                cost_row("ranges", "fence", 1, 1000),
                                cost_row("ranges", "fence", 64, 2000)}));
  add_compare(matrix, table_of({compare_row("direct", "direct-read", false, kNoDisk),
                                compare_row("direct", "io-uring", false, kNothingWrong),
                                compare_row("direct", "fence", true, kNothingWrong),
                                compare_row("direct", "unsafe", true, kLeaked),
                                compare_row("tree", "vmsplice", false, kLeaked)}));
  matrix.parts = {whole("table", 4), whole("growth", 3), whole("compare", 5)};
  return matrix;
}

TEST(MatrixData, cells_are_what_their_rows_say) {
  const Matrix matrix = good_matrix();
  EXPECT_EQ(matrix.rows[0].cell(), Cell::right);
  EXPECT_EQ(matrix.rows[1].cell(), Cell::caught);
  EXPECT_EQ(matrix.rows[2].cell(), Cell::refused);
  EXPECT_EQ(matrix.rows[3].cell(), Cell::skipped);
  const MatrixTotals totals = totals_of(matrix);
  EXPECT_EQ(totals.rows, 4u);
  EXPECT_EQ(totals.compare_rows, 5u);
  EXPECT_EQ(totals.cost_rows, 3u);
  EXPECT_EQ(totals.gpu_words, 128456u + 2 * 9000 + 3 * 5);
  EXPECT_EQ(totals.corrupt_in_safe, 0u);
  EXPECT_EQ(totals.caught_in_control, 777u + 69);
  EXPECT_EQ(totals.told_words, 69u) << "of a pipe, which is no GPU";
  EXPECT_THAT(complaints(matrix), IsEmpty());
  EXPECT_EQ(exit_status(matrix), 0);
}

TEST(MatrixData, a_wrong_row_fails_the_run_and_is_named_with_its_reasons) {
  Matrix matrix = good_matrix();
  add_table(matrix, table_of({event_row("fence", "munmap", kWrong)}));
  EXPECT_EQ(matrix.rows.back().cell(), Cell::wrong);
  EXPECT_THAT(complaints(matrix),
              ElementsAre("munmap 4k fence: 3 words are corrupt; the first: page 9"));
  EXPECT_EQ(exit_status(matrix), 1);
}

TEST(MatrixData, a_complaint_about_no_row_fails_the_run_and_is_said) {
  Matrix matrix = good_matrix();
  add_table(matrix, table_of({event_row("fence", "munmap", kGood)},
                             R"("complaints":["a call from a place that nobody knows"],)"));
  EXPECT_THAT(complaints(matrix), ElementsAre("a call from a place that nobody knows"));
  EXPECT_EQ(exit_status(matrix), 1);
}

TEST(MatrixData, corrupt_words_of_a_safe_strategy_are_wrong_whatever_the_tool_says) {
  Matrix matrix = good_matrix();
  add_table(matrix, table_of({event_row("fence", "munmap", kCaught)}));
  EXPECT_EQ(matrix.rows.back().cell(), Cell::wrong);
  EXPECT_EQ(exit_status(matrix), 1);
}

TEST(MatrixData, a_comparison_that_is_wrong_fails_the_run_and_is_named_with_its_situation) {
  Matrix matrix = good_matrix();
  add_compare(matrix, table_of({compare_row("tree", "unsafe", true, kBlind)}));
  EXPECT_THAT(
      complaints(matrix),
      ElementsAre("tree, unsafe 4k, read-only, bound by B between the forks: the detector is "
                  "blind"));
  EXPECT_EQ(exit_status(matrix), 1);
}

TEST(MatrixData, wrong_words_in_a_comparison_are_wrong_of_a_safe_gpu_and_told_of_what_is_none) {
  Matrix matrix = good_matrix();
  add_compare(matrix, table_of({compare_row("direct", "io-uring", false, kLeaked)}));
  EXPECT_TRUE(matrix.compares.back().right);
  EXPECT_EQ(exit_status(matrix), 0);
  add_compare(matrix, table_of({compare_row("direct", "fence", true, kLeaked)}));
  EXPECT_FALSE(matrix.compares.back().right);
  EXPECT_EQ(exit_status(matrix), 1);
}

TEST(MatrixData, what_is_missing_is_said_and_fails_the_run) {
  Matrix matrix = good_matrix();
  matrix.parts[0] = {.name = "table", .planned = 9, .done = 4, .status = 3, .trouble = "QEMU died"};
  EXPECT_THAT(complaints(matrix), ElementsAre("table: QEMU died", "table: 4 of 9 rows are there"));
  EXPECT_EQ(exit_status(matrix), 3);
  matrix.parts[0].status = 124;
  EXPECT_EQ(exit_status(matrix), 124);
  matrix.parts.clear();
  EXPECT_EQ(exit_status(matrix), 1) << "nothing was run";
}

TEST(MatrixData, a_kernel_report_fails_the_run) {
  Matrix matrix = good_matrix();
  matrix.parts[1].reports = 2;
  matrix.parts[1].status = 3;
  EXPECT_THAT(complaints(matrix), ElementsAre(HasSubstr("reported 2 times")));
  EXPECT_EQ(exit_status(matrix), 3);
}

TEST(MatrixData, a_status_without_a_reason_is_said) {
  Matrix matrix = good_matrix();
  matrix.parts[1].status = 1;
  EXPECT_THAT(complaints(matrix), ElementsAre("growth: it ended with status 1"));
  EXPECT_THAT(matrix_page(matrix, form()), Not(HasSubstr("as it must be</h1>")));
}

TEST(MatrixData, other_versions_and_broken_texts_are_refused) {
  Matrix matrix;
  EXPECT_THROW(add_table(matrix, "{"), Failure);
  EXPECT_THROW(add_table(matrix, R"({"version":2,"rows":[]})"), Failure);
  EXPECT_THROW(add_table(matrix, R"({"version":1,"kernel":"k","rows":[{}]})"), Failure);
  EXPECT_THROW(add_growth(matrix, R"({"version":1,"kernel":"k","rows":[{}]})"), Failure);
  EXPECT_THROW(add_compare(matrix, R"({"version":1,"kernel":"k","rows":[{}]})"), Failure);
  std::string tall = compare_row("tree", "fence", true, kNothingWrong);
  tall.replace(tall.find(R"("forks_before":1)"), 16, R"("forks_before":9)");
  EXPECT_THROW(add_compare(matrix, table_of({tall})), Failure);
  EXPECT_THROW(add_catalogue(matrix, R"({"version":1})"), Failure);
}

TEST(MatrixData, json_has_every_row_and_the_verdict) {
  Matrix matrix = good_matrix();
  matrix.parts[0].trouble = "bytes: \xff\xfe";  // of a console: no UTF-8
  const auto json = nlohmann::json::parse(to_json(matrix));
  EXPECT_EQ(json.at("version"), 1);
  EXPECT_EQ(json.at("rows").size(), 4u);
  EXPECT_EQ(json.at("growth").size(), 3u);
  EXPECT_EQ(json.at("compare").size(), 5u);
  EXPECT_EQ(json.at("seed"), 7);
  EXPECT_EQ(json.at("status"), 1) << "there is trouble";
  EXPECT_EQ(json.at("parts").at(0).at("complete"), true);
}

TEST(Fit, finds_the_power_of_what_grows) {
  std::vector<Point> square, constant;
  for (const double x : {1.0, 4.0, 16.0, 64.0}) {
    square.push_back({x, 3 * x * x});
    constant.push_back({x, 5});
  }
  EXPECT_NEAR(log_slope(square).value(), 2, 1e-9);
  EXPECT_NEAR(log_slope(constant).value(), 0, 1e-9);
  EXPECT_FALSE(log_slope({}));
  EXPECT_FALSE(log_slope(std::vector<Point>{{3, 4}}));
  EXPECT_FALSE(log_slope(std::vector<Point>{{3, 4}, {3, 5}, {3, 6}})) << "one x";
  EXPECT_FALSE(log_slope(std::vector<Point>{{1, 1}, {10, 100}})) << "two are a line in any case";
  EXPECT_NEAR(log_slope(std::vector<Point>{{0, 9}, {1, 1}, {2, 2}, {10, 10}}).value(), 1, 1e-9);
}

TEST(Fit, the_last_decade_has_three_points_at_least) {
  EXPECT_THAT(last_decade({{1, 1}, {4, 1}, {16, 1}, {64, 1}, {8, 1}, {32, 1}}),
              ElementsAre(Point{8, 1}, Point{16, 1}, Point{32, 1}, Point{64, 1}));
  EXPECT_THAT(last_decade({{1, 1}, {16, 1}, {256, 1}, {4096, 1}}),
              ElementsAre(Point{16, 1}, Point{256, 1}, Point{4096, 1}));
}

TEST(Fit, quantiles_are_samples) {
  EXPECT_EQ(quantile({}, 0.5), 0);
  EXPECT_EQ(quantile({3, 1, 2}, 0.5), 2);
  EXPECT_EQ(quantile({1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 0.9), 9);
  EXPECT_EQ(quantile({1, 2}, 0.99), 2);
  EXPECT_EQ(quantile({1, 2}, 0), 1);
}

TEST(Fit, what_grows_faster_than_linearly_is_named) {
  Matrix matrix = good_matrix();
  EXPECT_THAT(steep_parts(matrix), IsEmpty());
  std::vector<std::string> rows;
  for (const unsigned ranges : {16u, 64u, 256u, 1024u}) {
    rows.push_back(cost_row("ranges", "pin", ranges, 0.01 * ranges * ranges));
    rows.push_back(cost_row("ranges", "fault", ranges, 10.0 * ranges));
  }
  add_growth(matrix, growth_of(rows));
  const auto steep = steep_parts(matrix);
  ASSERT_EQ(steep.size(), 1u);
  EXPECT_EQ(steep[0].strategy, "pin");
  EXPECT_EQ(steep[0].what, "fork, GPU busy");
  EXPECT_NEAR(steep[0].slope, 2, 1e-6);
  EXPECT_THAT(matrix_page(matrix, form()),
              HasSubstr("fork, GPU busy of pin over ranges: slope 2.00"));
}

TEST(Html, text_never_becomes_markup) {
  EXPECT_EQ(escape("<a href=\"x\">'&'"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;");
  EXPECT_EQ(escape("a\x01"
                   "b\n"),
            "a\xef\xbf\xbd"
            "b\n");
  EXPECT_EQ(element("b", {{"title", "\"><script>"}, {"class", ""}}, "x"),
            "<b title=\"&quot;&gt;&lt;script&gt;\">x</b>");
  std::string page = "<p>{{a}}{{a}}</p>";
  fill_in(page, "a", "{{a}}");
  EXPECT_EQ(page, "<p>{{a}}{{a}}</p>") << "what is filled in is not looked at again";
  EXPECT_THROW(fill_in(page, "b", ""), Failure);
}

TEST(Html, numbers_are_for_people) {
  EXPECT_EQ(grouped(7), "7");
  EXPECT_EQ(grouped(1234567), "1,234,567");
  EXPECT_EQ(duration_text(0), "0");
  EXPECT_EQ(duration_text(0.85), "850 ns");
  EXPECT_EQ(duration_text(12.34), "12.3 us");
  EXPECT_EQ(duration_text(1020), "1.02 ms");
  EXPECT_EQ(duration_text(999.96), "1.00 ms");
  EXPECT_EQ(duration_text(3.4e6), "3.40 s");
}

TEST(Plot, a_distribution_ends_at_its_largest_sample_and_says_its_median) {
  const std::vector<Distribution> curves = {
      {.name = "busy", .style = "c-busy", .samples = {100, 1000, 10000}}};
  const LogRange range = range_of(curves);
  EXPECT_NEAR(range.min, 100, 1e-6);
  EXPECT_NEAR(range.max, 10000, 1e-6);
  const std::string svg = distribution_plot("a <label>", curves, range);
  EXPECT_THAT(svg, AllOf(HasSubstr("a &lt;label&gt;"), HasSubstr("p50 1.00 ms"),
                         HasSubstr("M56.0 "), HasSubstr("H408.0V12.0")));
  EXPECT_THAT(distribution_plot("", {}, range_of({})), HasSubstr("<svg"));
}

TEST(Plot, many_samples_make_a_path_of_bounded_length_that_ends_where_they_do) {
  Distribution curve{.name = "x", .style = "", .samples = {}};
  for (int n = 1; n <= 100'000; ++n) curve.samples.push_back(n);
  const std::string svg = distribution_plot("", {curve}, range_of({curve}));
  EXPECT_LT(svg.size(), 20'000u);
  EXPECT_THAT(svg, HasSubstr("H408.0V12.0"));
}

TEST(Plot, growth_without_a_point_is_no_plot) {
  EXPECT_EQ(growth_plot("", {{.name = "x", .style = "", .points = {{1, 0}}}}, XUnit::number), "");
  EXPECT_THAT(growth_plot("", {{.name = "x", .style = "", .points = {{1 << 20, 7}}}}, XUnit::bytes),
              AllOf(HasSubstr("1 MiB"), Not(HasSubstr("nan")), Not(HasSubstr("inf"))));
}

TEST(MatrixPage, shows_every_row_and_needs_nothing_else) {
  const Matrix matrix = good_matrix();
  const std::string page = matrix_page(matrix, form());
  EXPECT_THAT(page, HasSubstr("Every row is as it must be"));
  EXPECT_THAT(page, AllOf(HasSubstr("123 k"), HasSubstr("777<small>caught"),
                          HasSubstr("EOPNOTSUPP<small>refused"), HasSubstr("it has its reasons"),
                          HasSubstr("there is no swap"), HasSubstr("scenario 1,2"),
                          HasSubstr("./figment matrix --quick")));
  for (const EventRow& row : matrix.rows) {
    EXPECT_THAT(page,
                HasSubstr(std::format("title=\"{}, {}, {}\n", row.event, row.pages, row.strategy)));
  }
  for (const EventInfo& event : matrix.catalogue.events) {
    EXPECT_THAT(page, AllOf(HasSubstr("href=\"#event-" + event.name + "\""),
                            HasSubstr("id=\"event-" + event.name + "\"")));
  }
  EXPECT_THAT(page, Not(testing::ContainsRegex("https?:")));
  EXPECT_THAT(page, Not(testing::ContainsRegex("<(link|img|iframe|object)[ >]")));
  EXPECT_THAT(page, Not(testing::ContainsRegex(" (src|srcset)=")));
  EXPECT_THAT(page, Not(testing::ContainsRegex("@import|url\\(")));
  EXPECT_THAT(page, Not(HasSubstr("{{")));
}

TEST(MatrixPage, wrong_rows_stand_first_with_their_failures_in_full) {
  Matrix matrix = good_matrix();
  add_table(matrix, table_of({event_row("fence", "munmap", kWrong)}));
  const std::string page = matrix_page(matrix, form());
  const std::size_t said = page.find("the first: page 9");
  EXPECT_LT(said, page.find("<h2>The table"));
  EXPECT_THAT(page, AllOf(HasSubstr("1 row is wrong"), HasSubstr("cell wrong")));
}

TEST(MatrixPage, texts_of_a_guest_stay_texts) {
  const std::string evil = "<script>alert(1)</script>{{style}}\\\"'&";
  Matrix matrix = good_matrix();
  matrix.catalogue.events[0].what = matrix.catalogue.pages[0].why = evil;
  matrix.kernel = matrix.command = matrix.version = evil;
  matrix.device = {{"name", evil}};
  matrix.parts[0].trouble = evil;
  for (EventRow& row : matrix.rows) row.event = row.pages = row.strategy = evil;
  for (CostRow& row : matrix.costs) row.strategy = row.skipped = evil;
  for (CompareRow& row : matrix.compares) {
    row.user = row.pages = row.situation = evil;
    row.complaints = {evil};
    row.saw = {{.viewer = evil, .whose = evil, .judgement = evil, .words = 1}};
  }
  matrix.compares[0].skipped = evil;
  for (std::size_t n = 0; n < matrix.rows.size(); ++n) {
    if (n % 2) matrix.rows[n].skipped = evil;
    matrix.rows[n].complaints = {evil};
  }
  matrix.coverage =
      Coverage{.sites = {{.site = evil, .file = evil, .reached = false, .why = evil}},
               .counts = {{.site = evil, .event = evil, .strategy = evil, .count = 1}}};
  const std::string page = matrix_page(matrix, form());
  EXPECT_THAT(page, Not(HasSubstr("<script>alert")));
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;alert(1)"));
  // The page's own script and nothing else.
  const std::size_t script = page.find("<script");
  ASSERT_NE(script, page.npos);
  EXPECT_EQ(page.find("<script", script + 1), page.npos);
}

TEST(MatrixPage, says_what_was_not_recorded) {
  Matrix matrix = good_matrix();
  matrix.costs.clear();
  const std::string page = matrix_page(matrix, form());
  EXPECT_THAT(coverage_section(matrix), HasSubstr("not recorded"));
  EXPECT_THAT(fork_section(matrix), HasSubstr("not recorded"));
  EXPECT_THAT(growth_section(matrix), HasSubstr("not recorded"));
  EXPECT_THAT(compare_section(Matrix{}), HasSubstr("not recorded"));
  EXPECT_THAT(table_section(Matrix{}), HasSubstr("not recorded"));
  EXPECT_THAT(matrix_page(Matrix{}, form()), HasSubstr("Not complete"));
}

TEST(MatrixPage, coverage_names_what_is_missing) {
  Matrix matrix = good_matrix();
  add_table(
      matrix,
      table_of({},
               R"("coverage":[{"site":"dup_mmap","function":"f","event":"PROTECTION_PAGE",)"
               R"("strategy":"fence","count":1234}],)"
               R"("sites":[{"site":"dup_mmap","file":"mm/mmap.c","reached":true,"why":null},)"
               R"({"site":"zap_dax","file":"mm/dax.c","reached":false,"why":"there is no DAX"},)"
               R"({"site":"lost","file":"mm/lost.c","reached":false,"why":null}],)"));
  const std::string section = coverage_section(matrix);
  EXPECT_THAT(section, AllOf(HasSubstr("1 of 3"), HasSubstr("PROTECTION_PAGE"), HasSubstr("1,234"),
                             HasSubstr("not reached: there is no DAX"),
                             HasSubstr("not reached: nobody knows why")));
  EXPECT_TRUE(nlohmann::json::parse(to_json(matrix)).contains("sites"));
}

TEST(MatrixPage, fork_has_plots_with_both_baselines_and_the_numbers) {
  const std::string section = fork_section(good_matrix());
  EXPECT_THAT(section, AllOf(HasSubstr("no GPU: 2 forks"), HasSubstr("GPU idle: 2 forks"),
                             HasSubstr("GPU busy: 2 forks"), HasSubstr("5.00"),
                             HasSubstr("userptr of 64 MiB")));
}

TEST(MatrixPage, what_could_not_be_measured_is_named) {
  Matrix matrix = good_matrix();
  matrix.costs.back().skipped = "it needs 9 MiB";
  EXPECT_THAT(growth_section(matrix), HasSubstr("skipped: it needs 9 MiB"));
}

TEST(MatrixPage, comparisons_have_a_cell_for_each_user_and_say_who_saw_whose) {
  const std::string section = compare_section(good_matrix());
  EXPECT_THAT(section, AllOf(HasSubstr("before fork(), parent first"),
                             HasSubstr("read-only, bound by B between the forks"),
                             HasSubstr("cell caught"), HasSubstr("cell told"),
                             HasSubstr("12 of 50<small>B saw user, user saw A (old)</small>"),
                             HasSubstr("Skipped: there is no nbd"),
                             HasSubstr("B saw user&#39;s: 64 words leaked")));
}

TEST(TableSummary, has_a_line_for_each_strategy) {
  const std::string text = table_summary(good_matrix());
  EXPECT_THAT(text, HasSubstr("2 of 2"));
  EXPECT_THAT(text, testing::ContainsRegex("fence +2 +2 +123456 +0 +0 +1 +0\n"));
  EXPECT_THAT(text, testing::ContainsRegex("unsafe +2 +2 +5000 +777 +0 +0 +1\n"));
}

TEST(Progress, total_is_read_from_the_tools_own_line) {
  EXPECT_EQ(progress_total("[3/981] munmap 4k fence"), 981u);
  EXPECT_EQ(progress_total("figment-stress: [3/981]"), 0u);
  EXPECT_EQ(progress_total("[3/x]"), 0u);
  EXPECT_EQ(progress_total("[3"), 0u);
  EXPECT_EQ(progress_total(""), 0u);
}

}  // namespace
}  // namespace figment::host
