// SPDX-License-Identifier: MIT
#include "archive.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace figment {

void require(bool condition, const char* format, ...) {
  if (condition) return;
  char text[300];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  throw StreamRefused(text);
}

Archive::Within::Within(Archive& archive, std::string_view name) : archive_(archive) {
  archive_.path_.push_back({.name = name});
  if (archive_.mode_ == Mode::layout) archive_.layout_ += std::string(name) + ": ";
}

Archive::Within::~Within() {
  archive_.path_.pop_back();
  archive_.say_type("; ");
}

std::string_view Archive::next_name(std::string_view& names) {
  const size_t begin = names.find_first_not_of(", ");
  FIGMENT_ASSERT(begin != names.npos);
  const size_t end = std::min(names.find(',', begin), names.size());
  const std::string_view name = names.substr(begin, end - begin);
  names.remove_prefix(end);
  return name;
}

void Archive::refuse(const char* what) const {
  std::string where;
  for (const Step& step : path_) {
    if (!where.empty()) where += '.';
    where += step.name;
    if (step.index != SIZE_MAX) where += "[" + std::to_string(step.index) + "]";
  }
  throw StreamRefused(where + " " + what);
}

size_t Archive::counted(size_t count, size_t most) {
  auto number = static_cast<uint32_t>(count);
  say_type("list, ");
  this->number(number);
  say_type(" of ");
  if (number > most) refuse("has more elements than there can be");
  return number;
}

void Archive::raw(void* value, size_t bytes) {
  switch (mode_) {
    case Mode::layout:
      return;
    case Mode::save: {
      const auto* from = static_cast<const std::byte*>(value);
      out_.insert(out_.end(), from, from + bytes);
      return;
    }
    case Mode::load:
      if (in_.size() < bytes) refuse("is missing: the stream ends before it");
      std::memcpy(value, in_.data(), bytes);
      in_ = in_.subspan(bytes);
      return;
  }
}

void Archive::bytes(std::string& text, size_t most) {
  auto count = static_cast<uint32_t>(text.size());
  raw(&count, sizeof(count));
  require(count <= most && (!loading() || count <= in_.size()),
          "the stream has a text of %u bytes, which is too long", count);
  if (loading()) text.resize(count);
  raw(text.data(), count);
}

void Archive::end() const {
  require(in_.empty(), "%zu bytes are left after the end of the stream", in_.size());
}

}  // namespace figment
