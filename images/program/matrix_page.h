// SPDX-License-Identifier: MIT
//
// The page of the matrix: one file that needs no other, for a person to look at. docs/matrix.md
// says how to read it.
#ifndef FIGMENT_PROGRAM_MATRIX_PAGE_H
#define FIGMENT_PROGRAM_MATRIX_PAGE_H

#include "matrix.h"

namespace figment::host {

// images/matrix of the checkout.
struct PageTemplate {
  std::string page;
  std::string style;
  std::string script;
};

std::string matrix_page(const Matrix& matrix, const PageTemplate& form);

// Sections of it, as markup. matrix_costs.cpp has those about time, matrix_compare.cpp the last
// one.
std::string table_section(const Matrix& matrix);
std::string coverage_section(const Matrix& matrix);
std::string fork_section(const Matrix& matrix);
std::string growth_section(const Matrix& matrix);
std::string compare_section(const Matrix& matrix);

// Columns: strategies of the catalogue that have rows, in its order; then those that it does not
// know.
std::vector<std::string> strategies_of(const Matrix& matrix);

// A class of the style sheet for its colour.
std::string colour_of(const std::string& strategy);

}  // namespace figment::host

#endif
