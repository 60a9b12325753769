// SPDX-License-Identifier: MIT
//
// How something grows: the slope of a straight line through points on two logarithmic axes, fitted
// by least squares. 1 is linear, 2 quadratic, 0 does not grow.
#ifndef FIGMENT_PROGRAM_FIT_H
#define FIGMENT_PROGRAM_FIT_H

#include <optional>
#include <span>
#include <vector>

namespace figment::host {

struct Point {
  double x = 0;
  double y = 0;
  bool operator==(const Point&) const = default;
};

// Nothing: there are no three points above zero, or all have the same x: two make a line whatever
// they are. Points at or below zero are left out.
std::optional<double> log_slope(std::span<const Point> points);

// Points, in the order of x, of the last decade; at least the last three.
std::vector<Point> last_decade(std::vector<Point> points);

// By nearest rank: a value that was really measured. Zero for none.
double quantile(std::vector<double> samples, double share);

}  // namespace figment::host

#endif
