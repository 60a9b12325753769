// SPDX-License-Identifier: MIT
//
// The sections of the page about time: what fork() costs, and how that grows.
#include <algorithm>
#include <format>

#include "html.h"
#include "matrix_page.h"
#include "plot.h"

namespace figment::host {

namespace {

constexpr std::string_view kDistribution = "distribution";

// What the answers that take the GPU off the pages are held to: medians, busy to idle.
constexpr double kLimit = 1.5;

bool has_limit(const std::string& strategy) {
  return strategy == "fault" || strategy == "preempt" || strategy == "svm" ||
         strategy == "svm-vram";
}

double median(const std::vector<double>& samples) {
  return quantile(samples, 0.5);
}

std::string bytes_text(double bytes) {
  return bytes >= (1 << 20) ? std::format("{:g} MiB", bytes / (1 << 20))
                            : std::format("{:g} KiB", bytes / (1 << 10));
}

std::string key(const std::vector<std::pair<std::string, std::string>>& names_and_styles) {
  std::string items;
  for (const auto& [name, style] : names_and_styles) {
    items += element("span", {}, element("i", {{"class", style}}) + escape(name));
  }
  return element("p", {{"class", "legend key"}}, items);
}

std::string figure(const std::string& name, const std::string& more, const std::string& svg) {
  return element(
      "figure", {},
      element("figcaption", {}, escape(name) + " " + element("span", {}, escape(more))) + svg);
}

std::vector<Distribution> distributions(const CostRow& row) {
  return {{.name = "no GPU", .style = "c-none dashed", .samples = row.none_us},
          {.name = "GPU idle", .style = "c-idle", .samples = row.idle_us},
          {.name = "GPU busy", .style = "c-busy", .samples = row.busy_us}};
}

std::string ratio(double over, double under) {
  return under > 0 && over > 0 ? std::format("{:.2f}", over / under) : "-";
}

std::string cells(const std::vector<std::string>& texts, const char* first_class = "name") {
  std::string out;
  for (const std::string& text : texts) {
    out += element("td", {{"class", out.empty() ? first_class : ""}}, text);
  }
  return out;
}

std::string state_row(const CostRow& row, const char* state, const std::vector<double>& samples) {
  const double p50 = median(samples);
  const bool busy = std::string_view(state) == "busy";
  std::string to_idle = ratio(p50, median(row.idle_us));
  if (busy && has_limit(row.strategy) && p50 > 0) {
    const bool missed = p50 > kLimit * median(row.idle_us);
    to_idle = element("span", {{"class", missed ? "missed" : ""}},
                      to_idle + (missed ? std::format(", above {:g}", kLimit) : ""));
  }
  return element("tr", {},
                 cells({escape(row.strategy), escape(state), std::to_string(samples.size()),
                        duration_text(p50), duration_text(quantile(samples, 0.9)),
                        duration_text(quantile(samples, 0.99)), duration_text(quantile(samples, 1)),
                        busy ? to_idle : "", ratio(p50, median(row.none_us))}));
}

std::string fork_table(const std::vector<const CostRow*>& rows) {
  std::string body;
  for (const CostRow* row : rows) {
    body += state_row(*row, "no GPU", row->none_us) + state_row(*row, "idle", row->idle_us) +
            state_row(*row, "busy", row->busy_us);
  }
  std::string head;
  for (const char* name : {"strategy", "GPU", "forks", "p50", "p90", "p99", "max",
                           "busy / idle, p50", "/ no GPU, p50"}) {
    head += element("th", {{"class", head.empty() ? "name" : ""}}, name);
  }
  return element(
      "div", {{"class", "scroll"}},
      element("table", {{"class", "plain"}},
              element("thead", {}, element("tr", {}, head)) + element("tbody", {}, body)));
}

// Of the notifiers themselves: without the rest of fork().
std::string notifier_table(const std::vector<const CostRow*>& rows) {
  std::string body;
  for (const CostRow* row : rows) {
    if (!row->busy_notifiers || row->busy_notifiers->count.empty()) continue;
    const double pages = static_cast<double>(row->ranges) * static_cast<double>(row->bytes) / 4096;
    const auto times = [&](const std::optional<NotifierTimes>& notifiers) {
      return std::vector<std::string>{duration_text(median(notifiers->total_us)),
                                      duration_text(median(notifiers->waited_us))};
    };
    const NotifierTimes& busy = *row->busy_notifiers;
    std::vector<double> own;
    for (std::size_t n = 0; n < busy.total_us.size(); ++n) {
      own.push_back((busy.total_us[n] - busy.waited_us[n]) * 1000 / pages);
    }
    std::vector<std::string> texts{escape(row->strategy), std::format("{:g}", median(busy.count))};
    std::ranges::move(times(row->idle_notifiers), std::back_inserter(texts));
    std::ranges::move(times(row->busy_notifiers), std::back_inserter(texts));
    texts.push_back(duration_text(median(own)));
    body += element("tr", {}, cells(texts));
  }
  if (body.empty()) {
    return element("p", {},
                   "Times of notifiers: not recorded (the driver has no tracepoint, or no "
                   "strategy has a notifier).");
  }
  std::string head;
  for (const char* name : {"strategy", "notifiers per fork", "idle: all", "idle: waited",
                           "busy: all", "busy: waited", "busy: own time for 1,000 pages"}) {
    head += element("th", {{"class", head.empty() ? "name" : ""}}, name);
  }
  return element("h3", {}, "The notifiers alone, in one fork()") +
         element(
             "div", {{"class", "scroll"}},
             element("table", {{"class", "plain"}},
                     element("thead", {}, element("tr", {}, head)) + element("tbody", {}, body)));
}

// Those without which nothing of it could be drawn, by name.
std::string not_measured(const std::vector<const CostRow*>& rows) {
  std::string items;
  for (const CostRow* row : rows) {
    if (row->skipped.empty()) continue;
    items += element("li", {},
                     element("b", {},
                             escape(std::format("{}, {} {}", row->strategy, row->axis,
                                                row->axis == "bytes" || row->axis == kDistribution
                                                    ? bytes_text(row->place())
                                                    : std::format("{:g}", row->place())))) +
                         " skipped: " + escape(row->skipped));
  }
  return items.empty() ? "" : element("ul", {{"class", "reasons"}}, items);
}

struct AxisText {
  const char* name;
  const char* heading;
  XUnit unit;
};

constexpr AxisText kAxes[] = {
    {"processes", "Processes, each with a userptr of 1 MiB", XUnit::number},
    {"ranges", "Userptr ranges in one VM that share the same memory", XUnit::number},
    {"bytes", "Size of one userptr", XUnit::bytes},
};

std::vector<std::string> strategies_on(const Matrix& matrix, std::string_view axis) {
  std::vector<std::string> found;
  for (const std::string& strategy : strategies_of(matrix)) {
    const bool there = std::ranges::any_of(matrix.costs, [&](const CostRow& row) {
      return row.axis == axis && row.strategy == strategy;
    });
    if (there) found.push_back(strategy);
  }
  return found;
}

// fork() of the same processes without a device: of all strategies, because it is of none.
std::vector<Point> peer_points(const Matrix& matrix, std::string_view axis) {
  std::vector<Point> points;
  for (const CostRow& row : matrix.costs) {
    if (row.axis != axis || row.none_us.empty()) continue;
    if (std::ranges::contains(points, row.place(), &Point::x)) continue;
    std::vector<double> all;
    for (const CostRow& other : matrix.costs) {
      if (other.axis != axis || other.place() != row.place()) continue;
      all.insert(all.end(), other.none_us.begin(), other.none_us.end());
    }
    points.push_back({row.place(), median(all)});
  }
  std::ranges::sort(points, {}, &Point::x);
  return points;
}

std::string slope_table(const Matrix& matrix, const AxisText& axis,
                        const std::vector<std::string>& strategies,
                        const std::vector<Steep>& steep) {
  std::string head = element("th", {{"class", "name"}}, "slope over the last decade");
  for (const std::string& strategy : strategies) head += element("th", {}, escape(strategy));
  std::string body;
  for (const CostKind& kind : cost_kinds()) {
    std::string row =
        element("td", {{"class", "name"}, {"title", std::string{kind.what}}}, escape(kind.name));
    bool any = false;
    for (const std::string& strategy : strategies) {
      const auto slope = log_slope(last_decade(points_of(matrix, axis.name, strategy, kind)));
      const bool is_steep = std::ranges::any_of(steep, [&](const Steep& one) {
        return one.axis == axis.name && one.strategy == strategy && one.what == kind.name;
      });
      any |= slope.has_value();
      row += element("td", {{"class", is_steep ? "missed" : ""}},
                     slope ? std::format("{:.2f}", *slope) : "-");
    }
    if (any) body += element("tr", {}, row);
  }
  if (body.empty()) return "";
  return element(
      "div", {{"class", "scroll"}},
      element("table", {{"class", "plain"}},
              element("thead", {}, element("tr", {}, head)) + element("tbody", {}, body)));
}

std::string axis_section(const Matrix& matrix, const AxisText& axis,
                         const std::vector<Steep>& steep) {
  const std::vector<std::string> strategies = strategies_on(matrix, axis.name);
  if (strategies.empty()) return "";
  std::string figures;
  for (const CostKind& kind : cost_kinds()) {
    std::vector<Line> lines;
    if (kind.name.starts_with("fork")) {
      lines.push_back(
          {.name = "no GPU", .style = "c-none dashed", .points = peer_points(matrix, axis.name)});
    }
    for (const std::string& strategy : strategies) {
      lines.push_back({.name = strategy,
                       .style = colour_of(strategy),
                       .points = points_of(matrix, axis.name, strategy, kind)});
    }
    const std::string label = std::format("{}, {}", axis.heading, kind.name);
    const std::string svg = growth_plot(label, lines, axis.unit);
    if (!svg.empty()) figures += figure(std::string{kind.name}, std::string{kind.what}, svg);
  }
  std::vector<const CostRow*> rows;
  for (const CostRow& row : matrix.costs) {
    if (row.axis == axis.name) rows.push_back(&row);
  }
  return element("h3", {}, axis.heading) + element("div", {{"class", "plots"}}, figures) +
         slope_table(matrix, axis, strategies, steep) + not_measured(rows);
}

}  // namespace

std::string fork_section(const Matrix& matrix) {
  std::vector<const CostRow*> rows;
  for (const CostRow& row : matrix.costs) {
    if (row.axis == kDistribution) rows.push_back(&row);
  }
  if (rows.empty()) return element("p", {}, "not recorded");
  std::vector<Distribution> all;
  for (const CostRow* row : rows) {
    std::ranges::move(distributions(*row), std::back_inserter(all));
  }
  const LogRange range = range_of(all);
  std::string figures;
  std::vector<const CostRow*> measured;
  for (const CostRow* row : rows) {
    if (row->busy_us.empty() && row->none_us.empty()) continue;
    measured.push_back(row);
    const std::string more =
        std::format("busy / idle {}, p50", ratio(median(row->busy_us), median(row->idle_us)));
    figures +=
        figure(row->strategy, more,
               distribution_plot("fork() under " + row->strategy, distributions(*row), range));
  }
  const std::string lead = std::format(
      "One process with a userptr of {}. The same process forks before it opens the device, with "
      "idle queues, and while a queue writes to all of its memory; each time every page is there "
      "and belongs to it alone. The curves say how many of 100 forks took at most so long; all "
      "plots have the same scale.",
      bytes_text(rows.front()->place()));
  return element("p", {{"class", "lead"}}, escape(lead)) +
         key({{"no GPU: device never opened", "c-none dashed"},
              {"GPU idle", "c-idle"},
              {"GPU busy", "c-busy"}}) +
         element("div", {{"class", "plots"}}, figures) + not_measured(rows) +
         element("h3", {}, "In numbers") + fork_table(measured) + notifier_table(measured);
}

std::string growth_section(const Matrix& matrix) {
  const std::vector<Steep> steep = steep_parts(matrix);
  std::string sections;
  for (const AxisText& axis : kAxes) sections += axis_section(matrix, axis, steep);
  if (sections.empty()) return element("p", {}, "not recorded");
  std::string named;
  if (!steep.empty()) {
    std::string items;
    for (const Steep& one : steep) {
      items += element("li", {},
                       escape(std::format("{} of {} over {}: slope {:.2f}", one.what, one.strategy,
                                          one.axis, one.slope)));
    }
    named = element(
        "div", {{"class", "steep"}},
        element("b", {}, "Faster than linear over the last decade:") + element("ul", {}, items));
  } else {
    named = element("p", {}, "Nothing grows faster than linearly over the last decade.");
  }
  std::vector<std::pair<std::string, std::string>> styles = {{"no GPU", "c-none dashed"}};
  std::vector<std::string> strategies;
  for (const AxisText& axis : kAxes) {
    for (const std::string& strategy : strategies_on(matrix, axis.name)) {
      if (std::ranges::contains(strategies, strategy)) continue;
      strategies.push_back(strategy);
      styles.emplace_back(strategy, colour_of(strategy));
    }
  }
  return element("p", {{"class", "lead"}},
                 "Medians on two logarithmic axes: a slope of 1 is linear.") +
         named + key(styles) + sections;
}

}  // namespace figment::host
