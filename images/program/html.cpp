// SPDX-License-Identifier: MIT
#include "html.h"

#include <cmath>
#include <format>

#include "process.h"

namespace figment::host {

std::string escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        if ((byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f) {
          out += "\xef\xbf\xbd";
        } else {
          out += c;
        }
    }
  }
  return out;
}

std::string element(std::string_view name, std::initializer_list<Attribute> attributes,
                    std::string_view content) {
  std::string out = std::format("<{}", name);
  for (const Attribute& attribute : attributes) {
    if (attribute.value.empty()) continue;
    out += std::format(" {}=\"{}\"", attribute.name, escape(attribute.value));
  }
  return out + std::format(">{}</{}>", content, name);
}

void fill_in(std::string& page, std::string_view name, std::string_view markup) {
  const std::string place = std::format("{{{{{}}}}}", name);
  std::size_t at = page.find(place);
  if (at == page.npos) throw Failure(std::format("the template of the page lacks {}", place));
  // Not again in what was filled in: it may be a text of somebody else's.
  for (; at != page.npos; at = page.find(place, at + markup.size())) {
    page.replace(at, place.size(), markup);
  }
}

std::string grouped(unsigned long long number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

std::string duration_text(double microseconds) {
  struct Unit {
    double factor;
    const char* name;
  };
  static constexpr Unit kUnits[] = {{1e6, "s"}, {1e3, "ms"}, {1, "us"}, {1e-3, "ns"}};
  if (!(microseconds > 0)) return "0";
  const Unit* unit = kUnits;
  while (unit != std::end(kUnits) - 1 && microseconds < unit->factor * 0.9995) ++unit;
  const double value = microseconds / unit->factor;
  const int digits = value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return std::format("{:.{}f} {}", value, digits, unit->name);
}

}  // namespace figment::host
