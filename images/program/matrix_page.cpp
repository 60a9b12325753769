// SPDX-License-Identifier: MIT
#include "matrix_page.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <format>
#include <map>

#include "html.h"
#include "process.h"

namespace figment::host {

namespace {

constexpr std::array kCellNames = {"right", "caught", "wrong", "refused", "skipped"};

const char* name_of(Cell cell) {
  return kCellNames[static_cast<std::size_t>(cell)];
}

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

std::string compact(std::uint64_t number) {
  const auto value = static_cast<double>(number);
  if (number >= 1'000'000'000) return std::format("{:.1f} G", value / 1e9);
  if (number >= 1'000'000) return std::format("{:.1f} M", value / 1e6);
  if (number >= 10'000) return std::format("{:.0f} k", value / 1e3);
  return grouped(number);
}

const EventInfo* event_of(const Matrix& matrix, const std::string& name) {
  const auto found = std::ranges::find(matrix.catalogue.events, name, &EventInfo::name);
  return found == matrix.catalogue.events.end() ? nullptr : &*found;
}

const PagesInfo* pages_of(const Matrix& matrix, const std::string& name) {
  const auto found = std::ranges::find(matrix.catalogue.pages, name, &PagesInfo::name);
  return found == matrix.catalogue.pages.end() ? nullptr : &*found;
}

// Fit for an id: names of events are, but a page must not depend on it.
std::string anchor(const std::string& name) {
  std::string out = "event-";
  for (const unsigned char c : name) out += std::isalnum(c) ? static_cast<char>(c) : '-';
  return out;
}

std::string joined(const std::vector<std::string>& texts, const char* between) {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : between) + text;
  return out;
}

std::string times_text(const Times& times) {
  return std::format("{} / {} / {}", duration_text(times.p50), duration_text(times.p99),
                     duration_text(times.max));
}

// Everything about a cell, for who stays over it.
std::string cell_title(const Matrix& matrix, const EventRow& row) {
  std::string text = std::format("{}, {}, {}", row.event, row.pages, row.strategy);
  if (!row.complaints.empty()) text += "\n" + joined(row.complaints, "\n");
  if (!row.skipped.empty()) return text + "\nskipped: " + row.skipped;
  if (!row.refused.empty()) {
    const PagesInfo* pages = pages_of(matrix, row.pages);
    return text + "\nrefused with " + row.refused + (pages ? ": " + pages->why : "");
  }
  return text + std::format(
                    "\n{} rounds, {} words checked, {} corrupt\nevent p50 / p99 / max: {}\n"
                    "with an idle GPU: {}",
                    row.rounds, grouped(row.gpu_words), grouped(row.corrupt_words),
                    times_text(row.event_us), times_text(row.idle_us));
}

std::string cell_content(const EventRow& row) {
  const std::string time = element("small", {}, escape(duration_text(row.event_us.p50)));
  switch (row.cell()) {
    case Cell::right:
      return compact(row.gpu_words) + time;
    case Cell::caught:
      return compact(row.corrupt_words) + element("small", {}, "caught");
    case Cell::wrong:
      return row.corrupt_words ? compact(row.corrupt_words) + element("small", {}, "corrupt")
                               : "wrong" + element("small", {}, "see above");
    case Cell::refused:
      return escape(row.refused) + element("small", {}, "refused");
    case Cell::skipped:
      return "skipped" + element("small", {}, "reason below");
  }
  return "";
}

// By it a column is sorted.
std::uint64_t cell_value(const EventRow& row) {
  switch (row.cell()) {
    case Cell::right:
      return row.gpu_words;
    case Cell::caught:
    case Cell::wrong:
      return row.corrupt_words;
    case Cell::refused:
    case Cell::skipped:
      return 0;
  }
  return 0;
}

std::string table_cell(const Matrix& matrix, const EventRow& row) {
  return element("td",
                 {{"class", std::string{"cell "} + name_of(row.cell())},
                  {"data-state", name_of(row.cell())},
                  {"data-strategy", row.strategy},
                  {"data-value", std::to_string(cell_value(row))},
                  {"title", cell_title(matrix, row)}},
                 cell_content(row));
}

// Lines of the table: an event and a kind of pages, with a row for each strategy that has one.
struct TableLine {
  std::string event;
  std::string pages;
  std::map<std::string, const EventRow*> rows;
};

std::vector<TableLine> lines_of(const Matrix& matrix) {
  std::vector<TableLine> lines;
  for (const EventRow& row : matrix.rows) {
    auto line = std::ranges::find_if(lines, [&](const TableLine& one) {
      return one.event == row.event && one.pages == row.pages;
    });
    if (line == lines.end()) {
      lines.push_back({.event = row.event, .pages = row.pages, .rows = {}});
      line = lines.end() - 1;
    }
    line->rows[row.strategy] = &row;
  }
  return lines;
}

std::string table_line(const Matrix& matrix, const TableLine& line,
                       const std::vector<std::string>& strategies) {
  const EventInfo* event = event_of(matrix, line.event);
  const PagesInfo* pages = pages_of(matrix, line.pages);
  std::string cells =
      element("th", {{"class", "event"}, {"scope", "row"}, {"title", event ? event->what : ""}},
              element("a", {{"href", "#" + anchor(line.event)}}, escape(line.event)));
  cells +=
      element("td", {{"class", "pages"}, {"title", pages ? pages->what : ""}}, escape(line.pages));
  std::string text = line.event + " " + line.pages;
  for (const std::string& strategy : strategies) {
    const auto found = line.rows.find(strategy);
    if (found != line.rows.end()) {
      cells += table_cell(matrix, *found->second);
      text += " " + found->second->refused + " " + found->second->skipped;
      continue;
    }
    cells += element("td",
                     {{"class", "cell none"},
                      {"data-strategy", strategy},
                      {"data-value", "-1"},
                      {"title", "no row: it cannot differ from that of another strategy"}},
                     "·");
  }
  if (event) text += " " + event->what + " " + event->numbers;
  return element("tr", {{"data-text", lower(text)}}, cells);
}

std::string controls(const Matrix& matrix, const std::vector<std::string>& strategies) {
  // An empty value has to be written, which element() would leave out: the text would be the value.
  std::string options = R"(<option value="">every strategy</option>)";
  for (const std::string& strategy : strategies) {
    options += element("option", {{"value", strategy}}, escape(strategy));
  }
  std::string markup =
      R"(<input type="search" id="find" placeholder="event, pages, errno ..." aria-label="filter">)" +
      element("select", {{"id", "strategy"}, {"aria-label", "strategy"}}, options);
  const MatrixTotals totals = totals_of(matrix);
  for (std::size_t n = 0; n < kCellNames.size(); ++n) {
    markup += std::format(R"(<label><input type="checkbox" value="{}" checked>{} ({})</label>)",
                          kCellNames[n], kCellNames[n], totals.cells[n]);
  }
  markup += element("span", {{"id", "shown"}});
  return std::format(R"(<div class="controls" hidden>{}</div>)", markup);
}

constexpr const char* kLegend =
    R"(<p class="legend"><span><i class="right"></i>right: words checked</span>)"
    R"(<span><i class="caught"></i>the control, caught: corrupt words</span>)"
    R"(<span><i class="refused"></i>refused or skipped</span>)"
    R"(<span><i class="wrong"></i>wrong</span><span>· no row: as another strategy</span></p>)";

// Reasons of what was refused and skipped, with the rows: not only for who has a mouse.
std::string reasons(const Matrix& matrix) {
  std::map<std::string, std::vector<std::string>> found;
  for (const EventRow& row : matrix.rows) {
    const std::string where = row.event + " " + row.pages;
    std::string reason;
    if (row.cell() == Cell::refused) {
      const PagesInfo* pages = pages_of(matrix, row.pages);
      reason = row.refused + ": " +
               (pages && !pages->why.empty() ? pages->why : "no reason is documented");
    }
    if (row.cell() == Cell::skipped) reason = "Skipped: " + row.skipped;
    if (reason.empty()) continue;
    auto& rows = found[reason];
    if (std::ranges::find(rows, where) == rows.end()) rows.push_back(where);
  }
  std::string items;
  for (const auto& [reason, rows] : found) {
    items += element("li", {}, element("b", {}, escape(reason)) + " " + escape(joined(rows, ", ")));
  }
  return items.empty() ? "" : element("ul", {{"class", "reasons"}}, items);
}

std::string fact(const char* name, const std::string& markup) {
  return element("dt", {}, name) + element("dd", {}, markup);
}

std::string device_text(const nlohmann::ordered_json& device) {
  if (device.is_null()) return "not recorded";
  // As figment-info --json has it: of the first GPU what a driver asks it for.
  if (device.is_object() && device.contains("gpus") && !device["gpus"].empty()) {
    return device_text(device["gpus"][0].value("device", nlohmann::ordered_json()));
  }
  std::string text;
  const auto add = [&](const std::string& word) { text += (text.empty() ? "" : ", ") + word; };
  for (const auto& [key, value] : device.items()) {
    if (value.is_string()) add(key + " " + value.get<std::string>());
    if (value.is_number() || value.is_boolean()) add(key + " " + value.dump());
  }
  return text.empty() ? device.dump() : text;
}

std::string part_text(const MatrixPart& part) {
  std::string text =
      std::format("{}: {} of {} rows", part.name, part.done,
                  part.planned ? std::to_string(part.planned) : "an unknown number of");
  text += part.complete() ? "" : ", not complete";
  text += std::format(", status {}", part.status);
  if (!part.trouble.empty()) text += "; " + part.trouble;
  return text;
}

std::string facts(const Matrix& matrix) {
  std::string list = fact("started", escape(matrix.started));
  list += fact("checkout", escape(matrix.version.empty() ? "unknown" : matrix.version));
  list += fact("kernel", escape(matrix.kernel.empty() ? "unknown" : matrix.kernel));
  list += fact("device", escape(device_text(matrix.device)));
  list += fact("seed", std::to_string(matrix.seed));
  list += fact("again", element("code", {}, escape(matrix.command)));
  std::string parts;
  for (const MatrixPart& part : matrix.parts) {
    parts += (parts.empty() ? "" : "<br>") + escape(part_text(part));
  }
  list += fact("guests", parts.empty() ? "none was run" : parts);
  return element("dl", {{"class", "facts"}}, list);
}

std::string tile(const std::string& number, const std::string& what, const char* style = "") {
  return element("div", {{"class", std::string{"tile "} + style}},
                 element("b", {}, escape(number)) + element("span", {}, escape(what)));
}

std::string tiles(const Matrix& matrix) {
  const MatrixTotals totals = totals_of(matrix);
  const auto cells = [&](Cell cell) { return totals.cells[static_cast<std::size_t>(cell)]; };
  const auto bad_unless_zero = [](std::uint64_t n) { return n ? "bad" : "good"; };
  return tile(grouped(totals.rows + totals.compare_rows + totals.cost_rows), "rows") +
         tile(grouped(totals.gpu_words), "GPU words checked") +
         tile(grouped(totals.corrupt_in_safe), "corrupt under a safe strategy",
              bad_unless_zero(totals.corrupt_in_safe)) +
         tile(grouped(totals.caught_in_control), "caught in the control") +
         tile(grouped(cells(Cell::wrong)), "rows wrong", bad_unless_zero(cells(Cell::wrong))) +
         tile(grouped(cells(Cell::refused)), "refused") +
         tile(grouped(cells(Cell::skipped)), "skipped") +
         tile(grouped(totals.kernel_reports), "kernel reports",
              bad_unless_zero(totals.kernel_reports));
}

struct Headline {
  std::string text;
  const char* style;
};

Headline headline(const Matrix& matrix) {
  const MatrixTotals totals = totals_of(matrix);
  const auto wrong =
      totals.cells[static_cast<std::size_t>(Cell::wrong)] +
      static_cast<std::uint64_t>(std::ranges::count(matrix.costs, false, &CostRow::right) +
                                 std::ranges::count(matrix.compares, false, &CompareRow::right));
  const bool complete =
      !matrix.parts.empty() && std::ranges::all_of(matrix.parts, &MatrixPart::complete);
  if (wrong) {
    return {std::format("{} row{} wrong{}", wrong, wrong == 1 ? " is" : "s are",
                        complete ? "" : ", and not complete"),
            "bad"};
  }
  if (totals.kernel_reports) return {"The kernel has complained", "bad"};
  if (!matrix.table_complaints.empty()) return {"Something went wrong", "bad"};
  if (!complete) return {"Not complete; what is there is right", "part"};
  if (!complaints(matrix).empty()) return {"Something went wrong", "bad"};
  return {"Every row is as it must be", "good"};
}

std::string wrong_section(const Matrix& matrix) {
  std::string items;
  for (const std::string& complaint : complaints(matrix)) {
    items += element("li", {}, escape(complaint));
  }
  if (items.empty()) return "";
  return element("section", {{"id", "wrong"}, {"class", "trouble"}},
                 element("h2", {}, "What is not as it must be") + element("ul", {}, items));
}

std::string events_section(const Matrix& matrix) {
  std::string list;
  for (const EventInfo& event : matrix.catalogue.events) {
    list += element("dt", {{"id", anchor(event.name)}}, escape(event.name));
    list += element("dd", {}, escape(event.what + " (scenario " + event.numbers + ")"));
  }
  if (list.empty()) return element("p", {}, "not recorded");
  std::string kinds;
  for (const PagesInfo& pages : matrix.catalogue.pages) {
    kinds += element("dt", {}, escape(pages.name)) + element("dd", {}, escape(pages.what));
  }
  return element("dl", {{"class", "list"}}, list) + element("h3", {}, "Kinds of pages") +
         element("dl", {{"class", "list"}}, kinds);
}

std::string coverage_row(const std::string& name, const std::string& detail,
                         const std::vector<std::string>& strategies,
                         const std::map<std::string, std::uint64_t>& counts,
                         const std::string& missing) {
  std::string cells = element("td", {{"class", "name"}, {"title", detail}}, escape(name));
  for (const std::string& strategy : strategies) {
    const auto found = counts.find(strategy);
    const std::uint64_t count = found == counts.end() ? 0 : found->second;
    cells += element("td", {{"class", count ? "cell right" : "cell none"}},
                     count ? grouped(count) : "·");
  }
  return element("tr", {}, cells + element("td", {{"class", "name"}}, escape(missing)));
}

std::string coverage_table(const char* heading, const std::vector<std::string>& strategies,
                           const std::string& rows) {
  std::string head = element("th", {{"class", "name"}}, heading);
  for (const std::string& strategy : strategies) head += element("th", {}, escape(strategy));
  head += element("th", {{"class", "name"}}, "if not, why");
  return element(
      "div", {{"class", "scroll"}},
      element("table", {{"class", "plain"}},
              element("thead", {}, element("tr", {}, head)) + element("tbody", {}, rows)));
}

}  // namespace

std::vector<std::string> strategies_of(const Matrix& matrix) {
  std::vector<std::string> used;
  const auto use = [&](const std::string& name) {
    if (std::ranges::find(used, name) == used.end()) used.push_back(name);
  };
  for (const EventRow& row : matrix.rows) use(row.strategy);
  for (const CostRow& row : matrix.costs) use(row.strategy);
  const auto place = [&](const std::string& name) {
    const auto& known = matrix.catalogue.strategies;
    return std::ranges::find(known, name, &StrategyText::name) - known.begin();
  };
  std::ranges::stable_sort(used, {}, place);
  return used;
}

std::string colour_of(const std::string& strategy) {
  static constexpr std::array kKnown = {"fence",    "preempt", "fault",    "svm",
                                        "svm-vram", "pin",     "dontfork", "unsafe"};
  return std::ranges::find(kKnown, strategy) == kKnown.end() ? "c-other" : "c-" + strategy;
}

std::string table_section(const Matrix& matrix) {
  if (matrix.rows.empty()) return element("p", {}, "not recorded");
  std::vector<std::string> strategies;
  for (const std::string& strategy : strategies_of(matrix)) {
    if (std::ranges::contains(matrix.rows, strategy, &EventRow::strategy)) {
      strategies.push_back(strategy);
    }
  }
  std::string head = R"(<th class="event"><button type="button">event</button></th>)"
                     R"(<th class="name"><button type="button">pages</button></th>)";
  for (const std::string& strategy : strategies) {
    head += element("th", {{"data-strategy", strategy}, {"scope", "col"}},
                    element("button", {{"type", "button"}}, escape(strategy)));
  }
  std::string body;
  for (const TableLine& line : lines_of(matrix)) body += table_line(matrix, line, strategies);
  return controls(matrix, strategies) +
         element(
             "div", {{"class", "scroll tall"}},
             element("table", {{"class", "matrix"}},
                     element("thead", {}, element("tr", {}, head)) + element("tbody", {}, body))) +
         kLegend + reasons(matrix);
}

std::string coverage_section(const Matrix& matrix) {
  if (!matrix.coverage) return element("p", {}, "not recorded");
  const Coverage& coverage = *matrix.coverage;
  std::vector<std::string> strategies;
  std::map<std::string, std::map<std::string, std::uint64_t>> by_site, by_type;
  for (const SiteCount& one : coverage.counts) {
    if (std::ranges::find(strategies, one.strategy) == strategies.end()) {
      strategies.push_back(one.strategy);
    }
    by_site[one.site][one.strategy] += one.count;
    by_type[one.event][one.strategy] += one.count;
  }
  const std::vector<std::string> order = strategies_of(matrix);
  std::ranges::stable_sort(strategies, {}, [&](const std::string& name) {
    return std::ranges::find(order, name) - order.begin();
  });
  std::string sites, types;
  std::uint64_t reached = 0;
  for (const Site& site : coverage.sites) {
    reached += site.reached;
    const std::string missing =
        site.reached ? "" : "not reached: " + (site.why.empty() ? "nobody knows why" : site.why);
    sites += coverage_row(site.site, site.file, strategies, by_site[site.site], missing);
  }
  for (const auto& [type, counts] : by_type)
    types += coverage_row(type, "", strategies, counts, "");
  return element("p", {},
                 std::format("<b>{} of {}</b> sites and <b>{}</b> types of events were reached.",
                             reached, coverage.sites.size(), by_type.size())) +
         element("h3", {}, "Types of events") + coverage_table("type", strategies, types) +
         element("h3", {}, "Call sites") + coverage_table("site", strategies, sites);
}

std::string matrix_page(const Matrix& matrix, const PageTemplate& form) {
  const Headline head = headline(matrix);
  std::string nav;
  for (const auto& [id, text] :
       {std::pair{"table", "table"}, std::pair{"coverage", "coverage"}, std::pair{"fork", "fork()"},
        std::pair{"growth", "growth"}, std::pair{"compare", "comparisons"},
        std::pair{"events", "events"}}) {
    nav += element("a", {{"href", std::string{"#"} + id}}, text) + " ";
  }
  // What is text of others comes last: no place is looked for in it.
  std::string page = form.page;
  fill_in(page, "style", form.style);
  fill_in(page, "script", form.script);
  fill_in(page, "nav", nav);
  fill_in(page, "verdict-class", head.style);
  fill_in(page, "verdict", head.text);
  fill_in(page, "title", head.text);
  fill_in(page, "tiles", tiles(matrix));
  fill_in(page, "footer",
          "Written by <code>./figment matrix</code>; docs/matrix.md says how to read it.");
  const std::pair<const char*, std::string> sections[] = {
      {"facts", facts(matrix)},
      {"wrong", wrong_section(matrix)},
      {"table", table_section(matrix)},
      {"coverage", coverage_section(matrix)},
      {"fork", fork_section(matrix)},
      {"growth", growth_section(matrix)},
      {"compare", compare_section(matrix)},
      {"events", events_section(matrix)},
  };
  // One pass for those: a text "{{events}}" in a row is a text.
  std::string filled;
  for (std::string_view rest = page;;) {
    const std::size_t at = rest.find("{{");
    filled += rest.substr(0, at);
    if (at == rest.npos) break;
    rest.remove_prefix(at);
    const auto* section = std::ranges::find_if(sections, [&](const auto& one) {
      return rest.starts_with(std::format("{{{{{}}}}}", one.first));
    });
    if (section == std::end(sections))
      throw Failure("the template of the page has an unknown place");
    filled += section->second;
    rest.remove_prefix(std::string_view(section->first).size() + 4);
  }
  return filled;
}

}  // namespace figment::host
