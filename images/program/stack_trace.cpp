// SPDX-License-Identifier: MIT
#include "stack_trace.h"

#include <algorithm>
#include <charconv>
#include <format>
#include <regex>
#include <set>
#include <sstream>

namespace figment::host {

namespace {

std::uint64_t from_hex(const std::string& digits) {
  std::uint64_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  return value;
}

// Sections by number, from `readelf -SW`: "  [ 5] .text.unlikely   PROGBITS ...".
std::map<unsigned, std::string> parse_sections(const std::string& text) {
  static const std::regex line(R"(^\s*\[\s*(\d+)\]\s+(\.\S+)\s)");
  std::map<unsigned, std::string> sections;
  std::istringstream lines(text);
  for (std::string each; std::getline(lines, each);) {
    std::smatch match;
    if (std::regex_search(each, match, line)) {
      sections[static_cast<unsigned>(std::stoul(match[1]))] = match[2];
    }
  }
  return sections;
}

std::string without_prefix(std::string path, const std::vector<std::string>& prefixes) {
  if (const std::size_t note = path.find(" (discriminator"); note != path.npos) path.resize(note);
  for (const std::string& prefix : prefixes) {
    if (path.starts_with(prefix)) path.erase(0, prefix.size());
  }
  return path.starts_with("./") ? path.substr(2) : path;
}

// Lines of `addr2line -a -i`: an address, then a line for each level of inlining.
std::vector<std::string> parse_addr2line(const std::string& text,
                                         const std::vector<std::string>& prefixes) {
  std::vector<std::string> results;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("0x")) {
      results.emplace_back();
    } else if (!results.empty() && !line.starts_with("??") && !line.ends_with(":?")) {
      std::string& result = results.back();
      result += (result.empty() ? "" : " in ") + without_prefix(line, prefixes);
    }
  }
  return results;
}

// Of one object file. Addresses of a module are offsets in sections, so each section is asked for
// by itself; those of a kernel are absolute.
std::map<Frame, std::string> lines_in(const fs::path& object, bool is_module,
                                      const std::vector<Frame>& frames,
                                      const std::vector<std::string>& prefixes) {
  std::map<Frame, std::string> result;
  const auto symbols = parse_symbols(capture({"readelf", "-sW", object}).text, frames);
  std::map<unsigned, std::vector<std::pair<Frame, std::uint64_t>>> by_section;
  for (const Frame& frame : frames) {
    const auto symbol = symbol_of(frame, symbols);
    if (!symbol) continue;
    // A return address may belong to the next line already: ask for the call before it.
    const std::uint64_t back = frame.is_call && frame.offset > 0 ? 1 : 0;
    by_section[is_module ? symbol->section : 0].emplace_back(
        frame, symbol->value + frame.offset - back);
  }
  const auto sections = is_module ? parse_sections(capture({"readelf", "-SW", object}).text)
                                  : std::map<unsigned, std::string>{};
  for (const auto& [section, places] : by_section) {
    Argv argv = {"addr2line", "-a", "-i", "-e", object};
    if (is_module) {
      const auto name = sections.find(section);
      if (name == sections.end()) continue;
      argv.insert(argv.end(), {"-j", name->second});
    }
    for (const auto& place : places) argv.push_back(std::format("0x{:x}", place.second));
    const std::vector<std::string> lines = parse_addr2line(capture(argv).text, prefixes);
    for (std::size_t i = 0; i < std::min(lines.size(), places.size()); ++i) {
      if (!lines[i].empty()) result[places[i].first] = lines[i];
    }
  }
  return result;
}

// The kernel writes '_' where a file may have '-'.
std::string module_of(const fs::path& file) {
  std::string name = file.stem();
  std::ranges::replace(name, '-', '_');
  return name;
}

fs::path find_module(const std::string& name, const std::vector<fs::path>& places) {
  for (const fs::path& place : places) {
    if (fs::is_regular_file(place) && module_of(place) == name) return place;
    if (!fs::is_directory(place)) continue;
    for (const auto& file : fs::recursive_directory_iterator(
             place, fs::directory_options::skip_permission_denied)) {
      if (file.path().extension() == ".ko" && module_of(file.path()) == name) return file.path();
    }
  }
  return {};
}

}  // namespace

std::optional<Frame> frame_in(std::string_view line) {
  // Build identifiers and taints may follow the name of the module.
  static const std::regex expression(
      R"(([A-Za-z_][\w.$]*)\+0x([0-9a-f]+)/0x([0-9a-f]+)(?: \[([\w-]+)[^\]]*\])?)");
  std::match_results<std::string_view::const_iterator> match;
  if (!std::regex_search(line.begin(), line.end(), match, expression)) return std::nullopt;
  return Frame{.symbol = match[1],
               .offset = from_hex(match[2]),
               .size = from_hex(match[3]),
               .module = match[4],
               .is_call = !line.contains("RIP:")};
}

std::multimap<std::string, Symbol> parse_symbols(std::string_view text,
                                                 const std::vector<Frame>& wanted) {
  std::set<std::string, std::less<>> names;
  for (const Frame& frame : wanted) names.insert(frame.symbol);
  std::multimap<std::string, Symbol> symbols;
  std::istringstream lines{std::string{text}};
  for (std::string line; std::getline(lines, line);) {
    //    Num:    Value          Size Type    Bind   Vis      Ndx Name
    std::istringstream words(line);
    std::string number, value, size, type, binding, visibility, section, name;
    if (!(words >> number >> value >> size >> type >> binding >> visibility >> section >> name)) {
      continue;
    }
    if ((type != "FUNC" && type != "NOTYPE") || !names.contains(name)) continue;
    if (section.find_first_not_of("0123456789") != section.npos) continue;
    symbols.emplace(name, Symbol{.value = from_hex(value),
                                 .size = std::strtoull(size.c_str(), nullptr, 0),
                                 .section = static_cast<unsigned>(std::stoul(section))});
  }
  return symbols;
}

std::optional<Symbol> symbol_of(const Frame& frame,
                                const std::multimap<std::string, Symbol>& symbols) {
  std::optional<Symbol> best;
  const auto distance = [&](const Symbol& symbol) {
    return frame.size > symbol.size ? frame.size - symbol.size : symbol.size - frame.size;
  };
  const auto [begin, end] = symbols.equal_range(frame.symbol);
  for (auto it = begin; it != end; ++it) {
    if (!best || distance(it->second) < distance(*best)) best = it->second;
  }
  return best;
}

std::map<Frame, std::string> source_lines(const std::vector<Frame>& frames,
                                          const SymbolFiles& files) {
  std::map<std::string, std::vector<Frame>> by_module;
  for (const Frame& frame : frames) {
    std::vector<Frame>& list = by_module[frame.module];
    if (std::ranges::find(list, frame) == list.end()) list.push_back(frame);
  }
  std::map<Frame, std::string> result;
  for (const auto& [module, list] : by_module) {
    const fs::path object = module.empty() ? files.kernel : find_module(module, files.modules);
    if (object.empty() || !fs::exists(object)) continue;
    result.merge(lines_in(object, !module.empty(), list, files.prefixes));
  }
  return result;
}

void add_source_lines(std::vector<std::string>& lines, const SymbolFiles& files) {
  std::vector<Frame> frames;
  for (const std::string& line : lines) {
    if (auto frame = frame_in(line)) frames.push_back(std::move(*frame));
  }
  if (frames.empty()) return;
  const std::map<Frame, std::string> found = source_lines(frames, files);
  for (std::string& line : lines) {
    const auto frame = frame_in(line);
    if (!frame) continue;
    if (const auto place = found.find(*frame); place != found.end()) line += "  " + place->second;
  }
}

}  // namespace figment::host
