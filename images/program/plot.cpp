// SPDX-License-Identifier: MIT
#include "plot.h"

#include <algorithm>
#include <cmath>
#include <format>
#include <set>

#include "html.h"

namespace figment::host {

namespace {

// In units of the drawing; the page scales it.
constexpr double kWidth = 420, kHeight = 250;
constexpr double kLeft = 56, kRight = 12, kTop = 12, kBottom = 34;

// More steps than a curve has pixels show nothing.
constexpr std::size_t kMaxSteps = 512;

struct LogScale {
  LogRange range;
  double from, to;

  double operator()(double value) const {
    const double share = (std::log(std::max(value, range.min * 1e-3)) - std::log(range.min)) /
                         (std::log(range.max) - std::log(range.min));
    return from + share * (to - from);
  }
};

LogRange rounded(double min, double max) {
  const auto half_decade = [](double value, auto round) {
    return std::pow(10, round(std::log10(value) * 2) / 2);
  };
  LogRange range{half_decade(min, [](double x) { return std::floor(x + 1e-9); }),
                 half_decade(max, [](double x) { return std::ceil(x - 1e-9); })};
  if (range.max <= range.min * 1.01) range.max = range.min * 10;
  return range;
}

// 1, 2 and 5 of each decade when there are few of them, else 1 and 10.
std::vector<double> ticks(LogRange range) {
  const bool few = std::log10(range.max / range.min) <= 2.6;
  std::vector<double> found;
  for (int decade = static_cast<int>(std::floor(std::log10(range.min)));
       std::pow(10, decade) <= range.max * 1.001; ++decade) {
    for (const double step : {1.0, 2.0, 5.0}) {
      const double value = step * std::pow(10, decade);
      if ((step > 1 && !few) || value < range.min * 0.999 || value > range.max * 1.001) continue;
      found.push_back(value);
    }
  }
  return found;
}

std::string tick_time(double microseconds) {
  if (microseconds >= 0.9995e6) return std::format("{:g} s", microseconds / 1e6);
  if (microseconds >= 0.9995e3) return std::format("{:g} ms", microseconds / 1e3);
  return std::format("{:g} us", microseconds);
}

std::string tick_number(double value, XUnit unit) {
  if (unit == XUnit::number) return std::format("{:g}", value);
  if (value >= (1 << 30)) return std::format("{:g} GiB", value / (1 << 30));
  return std::format("{:g} MiB", value / (1 << 20));
}

std::string number(double value) {
  return std::format("{:.1f}", value);
}

std::string straight(double x1, double y1, double x2, double y2, const char* style) {
  return std::format(R"(<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>)", style,
                     x1, y1, x2, y2);
}

std::string caption(double x, double y, const char* anchor, const std::string& text) {
  return element("text", {{"x", number(x)}, {"y", number(y)}, {"text-anchor", anchor}},
                 escape(text));
}

std::string drawing(const std::string& label, const std::string& content) {
  return element("svg",
                 {{"viewBox", std::format("0 0 {:g} {:g}", kWidth, kHeight)},
                  {"role", "img"},
                  {"aria-label", label}},
                 content);
}

std::string frame() {
  return straight(kLeft, kHeight - kBottom, kWidth - kRight, kHeight - kBottom, "axis") +
         straight(kLeft, kTop, kLeft, kHeight - kBottom, "axis");
}

}  // namespace

LogRange range_of(const std::vector<Distribution>& curves) {
  double min = 0, max = 0;
  for (const Distribution& curve : curves) {
    for (const double sample : curve.samples) {
      if (!(sample > 0)) continue;
      min = min > 0 ? std::min(min, sample) : sample;
      max = std::max(max, sample);
    }
  }
  return min > 0 ? rounded(min, max) : LogRange{};
}

std::string distribution_plot(const std::string& label, const std::vector<Distribution>& curves,
                              LogRange range) {
  const LogScale x{range, kLeft, kWidth - kRight};
  const auto y = [](double share) {
    return kHeight - kBottom - share * (kHeight - kBottom - kTop);
  };
  std::string content;
  for (const double tick : ticks(range)) {
    content += straight(x(tick), kTop, x(tick), kHeight - kBottom, "grid");
    content += caption(x(tick), kHeight - kBottom + 16, "middle", tick_time(tick));
  }
  for (const double share : {0.0, 0.5, 0.9, 1.0}) {
    content += straight(kLeft, y(share), kWidth - kRight, y(share), "grid");
    content += caption(kLeft - 7, y(share) + 4, "end", std::format("{:g} %", share * 100));
  }
  content += frame();
  for (const Distribution& curve : curves) {
    if (curve.samples.empty()) continue;
    std::vector<double> sorted = curve.samples;
    std::ranges::sort(sorted);
    const auto count = sorted.size();
    const std::size_t steps = std::min(count, kMaxSteps);
    std::string path = std::format("M{:.1f} {:.1f}", x(sorted.front()), y(0));
    for (std::size_t step = 1; step <= steps; ++step) {
      const std::size_t rank = count * step / steps;  // of the sample at which the curve steps up
      path += std::format("H{:.1f}V{:.1f}", x(sorted[rank - 1]),
                          y(static_cast<double>(rank) / static_cast<double>(count)));
    }
    const double median = quantile(sorted, 0.5);
    const std::string title =
        element("title", {},
                escape(std::format("{}: {} forks, p50 {}, p99 {}, max {}", curve.name, count,
                                   duration_text(median), duration_text(quantile(sorted, 0.99)),
                                   duration_text(sorted.back()))));
    content += element("path", {{"class", "curve " + curve.style}, {"d", path}}, title);
    content += element("circle",
                       {{"class", "dot " + curve.style},
                        {"cx", number(x(median))},
                        {"cy", number(y(0.5))},
                        {"r", "4"}},
                       title);
  }
  return drawing(label, content);
}

std::string growth_plot(const std::string& label, const std::vector<Line>& lines, XUnit unit) {
  std::set<double> places;
  double min_y = 0, max_y = 0;
  for (const Line& line : lines) {
    for (const auto [at, value] : line.points) {
      if (!(at > 0) || !(value > 0)) continue;
      places.insert(at);
      min_y = min_y > 0 ? std::min(min_y, value) : value;
      max_y = std::max(max_y, value);
    }
  }
  if (places.empty()) return "";
  const double first = *places.begin(), last = std::max(*places.rbegin(), first * 2);
  // A little room at both ends, so that dots are not cut.
  const LogScale x{{first / 1.15, last * 1.15}, kLeft, kWidth - kRight};
  const LogRange range = rounded(min_y, max_y);
  const LogScale y{range, kHeight - kBottom, kTop};
  std::string content;
  for (const double place : places) {
    content += straight(x(place), kTop, x(place), kHeight - kBottom, "grid");
    content += caption(x(place), kHeight - kBottom + 16, "middle", tick_number(place, unit));
  }
  for (const double tick : ticks(range)) {
    content += straight(kLeft, y(tick), kWidth - kRight, y(tick), "grid");
    content += caption(kLeft - 7, y(tick) + 4, "end", tick_time(tick));
  }
  content += frame();
  for (const Line& line : lines) {
    std::string path, dots;
    for (const auto [at, value] : line.points) {
      if (!(at > 0) || !(value > 0)) continue;
      path += std::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x(at), y(value));
      dots += element("circle",
                      {{"class", "dot " + line.style},
                       {"cx", number(x(at))},
                       {"cy", number(y(value))},
                       {"r", "3.5"}},
                      element("title", {},
                              escape(std::format("{}, {}: {}", line.name, tick_number(at, unit),
                                                 duration_text(value)))));
    }
    if (path.empty()) continue;
    content += element("path", {{"class", "curve " + line.style}, {"d", path}}) + dots;
  }
  return drawing(label, content);
}

}  // namespace figment::host
