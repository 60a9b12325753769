// SPDX-License-Identifier: MIT
// State as a stream of bytes, described once for both directions.
//
// Every part of the model has one function, describe(), that names what it
// holds. An Archive runs it to save, to load, or to write down the layout that
// it describes. describe() takes the object apart with a structured binding of
// all members, so a member that is new does not compile until somebody has
// decided, in that place, whether it is state.
//
// Numbers are little-endian and as wide as their type; nothing is aligned. The
// stream begins with the layout as text, so it says by itself what is in it.
//
// A stream is not trusted. Here, numbers are checked to be in it, booleans and
// enumerations to be one of their values, and sequences to be no longer than
// allowed. What the values mean together is checked by the check() of each part
// after everything is loaded. Both throw StreamRefused.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "units.h"

namespace figment {

// The stream cannot be the state of this model; for people.
struct StreamRefused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// For check(): refuses with the text, printf-like, unless the condition holds.
[[gnu::format(printf, 2, 3)]] void require(bool condition, const char* format, ...);

class Archive {
 public:
  static Archive for_layout() { return Archive(Mode::layout, {}); }
  static Archive for_save() { return Archive(Mode::save, {}); }
  static Archive for_load(std::span<const std::byte> from) { return Archive(Mode::load, from); }

  bool loading() const { return mode_ == Mode::load; }
  const std::string& layout() const { return layout_; }
  const std::vector<std::byte>& saved() const { return out_; }

  // Some fields of a record. `names` lists them, separated by commas: use FIGMENT_FIELDS.
  template <typename... T>
  void fields(std::string_view names, T&... values) {
    (field(next_name(names), values), ...);
  }

  // One field: bool, unsigned number, enum with known(), array, or anything with describe().
  template <typename T>
  void field(std::string_view name, T& value) {
    const Within within(*this, name);
    item(value);
  }

  // As many elements as there are. When loading, the stream must have as many.
  template <typename T>
  void elements(std::string_view name, std::vector<T>& values) {
    const Within within(*this, name);
    const size_t count = counted(values.size(), values.size());
    if (count != values.size()) refuse("has too few elements");
    each(std::span(values));
  }

  // Any number of elements up to `most`. When loading, `values` is filled anew.
  template <typename T>
  void sequence(std::string_view name, std::vector<T>& values, size_t most) {
    const Within within(*this, name);
    const size_t count = counted(values.size(), most);
    if (loading()) {
      values.clear();
      values.resize(count);
    }
    each(std::span(values));
  }

  // The first `count` of an array.
  template <typename T, size_t N>
  void sequence(std::string_view name, std::array<T, N>& values, unsigned& count) {
    const Within within(*this, name);
    count = static_cast<unsigned>(counted(count, N));
    each(std::span<T>(values).first(count));
  }

  // A field that is there only if `present`, which the stream says before.
  template <typename T>
  void optional(std::string_view name, bool& present, T& value) {
    {
      const Within within(*this, name);
      item(present);
    }
    if (present || mode_ == Mode::layout) field(name, value);
  }

  // Bytes as they are, for the frame around the state.
  void bytes(std::string& text, size_t most);
  template <typename T>
  void bare(T& value) {
    number(value);
  }
  // Nothing may be left.
  void end() const;

 private:
  enum class Mode : uint8_t { layout, save, load };
  // Where we are, for the words of a refusal.
  struct Step {
    std::string_view name;
    size_t index = SIZE_MAX;  // in a list
  };
  class Within {
   public:
    Within(Archive& archive, std::string_view name);
    Within(const Within&) = delete;
    Within& operator=(const Within&) = delete;
    ~Within();

   private:
    Archive& archive_;
  };

  Archive(Mode mode, std::span<const std::byte> from) : mode_(mode), in_(from) {}

  static std::string_view next_name(std::string_view& names);
  [[noreturn]] void refuse(const char* what) const;
  size_t counted(size_t count, size_t most);
  // Fixed width, little-endian.
  void raw(void* value, size_t bytes);
  void say_type(std::string_view type) {
    if (mode_ == Mode::layout) layout_ += type;
  }

  template <typename T>
  void number(T& value) {
    static_assert(std::is_unsigned_v<T>);
    say_type(sizeof(T) == 1 ? "u8" : sizeof(T) == 2 ? "u16" : sizeof(T) == 4 ? "u32" : "u64");
    raw(&value, sizeof(value));
  }

  template <typename T>
  void item(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      uint8_t byte = value;
      say_type("bool ");
      number(byte);
      if (loading() && byte > 1) refuse("is no truth value");
      value = byte != 0;
    } else if constexpr (std::is_enum_v<T>) {
      auto byte = static_cast<std::underlying_type_t<T>>(value);
      say_type("one of ");
      number(byte);
      if (loading() && !known(static_cast<T>(byte))) refuse("is none of its values");
      value = static_cast<T>(byte);
    } else if constexpr (std::is_unsigned_v<T>) {
      number(value);
    } else if constexpr (requires { value.describe(*this); }) {
      say_type("{");
      value.describe(*this);
      say_type("}");
    } else {
      say_type("{");
      describe(*this, value);
      say_type("}");
    }
  }
  template <typename T, size_t N>
  void item(std::array<T, N>& values) {
    say_type(std::to_string(N));
    say_type(" of ");
    each(std::span<T>(values));
  }
  template <typename T>
  void item(std::unique_ptr<T>& value) {
    item(*value);
  }

  template <typename T>
  void each(std::span<T> values) {
    if (mode_ == Mode::layout) {
      // What one is like, also when there is none.
      if constexpr (!is_pointer<T>) {
        T one{};
        item(one);
      } else {
        item(values.front());
      }
      return;
    }
    for (size_t i = 0; i < values.size(); ++i) {
      path_.back().index = i;
      item(values[i]);
    }
  }
  template <typename T>
  static constexpr bool is_pointer = requires(T& value) { *value; };

  Mode mode_;
  std::span<const std::byte> in_;
  std::vector<std::byte> out_;
  std::string layout_;
  std::vector<Step> path_;
};

#define FIGMENT_FIELDS(archive, ...) (archive).fields(#__VA_ARGS__, __VA_ARGS__)

}  // namespace figment
