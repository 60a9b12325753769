// SPDX-License-Identifier: MIT
//
// Writing HTML and SVG: everything that is not markup goes through escape(), and elements are made
// by element(), so that no text of a guest becomes markup of a page.
#ifndef FIGMENT_PROGRAM_HTML_H
#define FIGMENT_PROGRAM_HTML_H

#include <initializer_list>
#include <string>
#include <string_view>

namespace figment::host {

struct Attribute {
  std::string_view name;
  std::string value;  // as text; empty: the attribute is left out
};

// For content and for attributes in double quotes. Control characters that HTML does not allow
// become U+FFFD.
std::string escape(std::string_view text);

// <name attributes>content</name>; `content` is markup.
std::string element(std::string_view name, std::initializer_list<Attribute> attributes,
                    std::string_view content = {});

// Every "{{name}}" of `page` becomes `markup`. Throws Failure when there is none.
void fill_in(std::string& page, std::string_view name, std::string_view markup);

// 1234567 as "1,234,567".
std::string grouped(unsigned long long number);

// Microseconds with a unit and three digits: "850 ns", "12.3 us", "1.02 ms", "3.4 s".
std::string duration_text(double microseconds);

}  // namespace figment::host

#endif
