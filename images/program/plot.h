// SPDX-License-Identifier: MIT
//
// Plots as SVG, to be put into a page: their colours are classes of its style sheet.
#ifndef FIGMENT_PROGRAM_PLOT_H
#define FIGMENT_PROGRAM_PLOT_H

#include <string>
#include <vector>

#include "fit.h"

namespace figment::host {

// Of times in microseconds, drawn as a cumulative distribution: how many of 100 took at most so
// long.
struct Distribution {
  std::string name;
  std::string style;  // classes: colour and dash of the curve
  std::vector<double> samples;
};

// Both ends of a logarithmic axis.
struct LogRange {
  double min = 1;
  double max = 10;
};

// Room for all samples, up to whole halves of a decade. No sample: a decade.
LogRange range_of(const std::vector<Distribution>& curves);

std::string distribution_plot(const std::string& label, const std::vector<Distribution>& curves,
                              LogRange range);

// A line through medians, on two logarithmic axes; y in microseconds.
struct Line {
  std::string name;
  std::string style;
  std::vector<Point> points;
};

enum class XUnit { number, bytes };

// Empty when no line has a point.
std::string growth_plot(const std::string& label, const std::vector<Line>& lines, XUnit unit);

}  // namespace figment::host

#endif
