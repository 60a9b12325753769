// SPDX-License-Identifier: MIT
#include "judge.h"

#include <glib.h>

#include <algorithm>
#include <array>
#include <stdexcept>

namespace figment::host {

namespace {

struct Pattern {
  std::string_view kind;
  std::string_view text;
  bool at_start;  // of the message, after time stamp and caller; else anywhere in it
};

// The first that fits names the report, so what is special comes before what is general.
constexpr std::array kPatterns = {
    Pattern{"kasan", "BUG: KASAN:", true},
    Pattern{"kfence", "BUG: KFENCE:", true},
    Pattern{"kcsan", "BUG: KCSAN:", true},
    Pattern{"kmsan", "BUG: KMSAN:", true},
    Pattern{"ubsan", "UBSAN:", true},
    Pattern{"lockdep", "WARNING: possible circular locking", true},
    Pattern{"lockdep", "WARNING: possible recursive locking", true},
    Pattern{"lockdep", "WARNING: possible irq lock inversion", true},
    Pattern{"lockdep", "WARNING: inconsistent lock state", true},
    Pattern{"lockdep", "WARNING: suspicious RCU usage", true},
    Pattern{"lockdep", "WARNING: bad unlock balance", true},
    Pattern{"lockdep", "WARNING: held lock freed", true},
    Pattern{"lockdep", "BUG: MAX_LOCK", true},
    Pattern{"lockdep", "INFO: trying to register non-static key", true},
    Pattern{"lockdep", "DEBUG_LOCKS_WARN_ON", true},
    Pattern{"lockup", "watchdog: BUG: soft lockup", true},
    Pattern{"lockup", "watchdog: Watchdog detected hard LOCKUP", true},
    Pattern{"lockup", "BUG: workqueue lockup", true},
    Pattern{"bad page", "BUG: Bad page", true},
    Pattern{"bad page", "BUG: Bad rss-counter", true},
    Pattern{"stall", "rcu: INFO: rcu_", true},
    Pattern{"stall", "INFO: rcu_", true},
    Pattern{"hung task", "INFO: task ", true},
    Pattern{"refcount", "refcount_t:", true},
    Pattern{"dma", "DMA-API:", false},
    Pattern{"kmemleak", "new suspected memory leaks", false},
    Pattern{"debug object", "ODEBUG:", true},
    Pattern{"slab", "BUG kmalloc", true},
    Pattern{"list", "list_add corruption", false},
    Pattern{"list", "list_del corruption", false},
    Pattern{"oops", "BUG:", true},
    Pattern{"oops", "kernel BUG at", true},
    Pattern{"oops", "Oops:", true},
    Pattern{"oops", "general protection fault", false},
    Pattern{"oops", "unable to handle page fault", false},
    Pattern{"oops", "stack segment fault", true},
    Pattern{"oops", "double fault:", true},
    Pattern{"oops", "invalid opcode:", true},
    Pattern{"oops", "divide error:", true},
    Pattern{"oops", "Internal error:", true},
    Pattern{"warning", "WARNING:", true},
    Pattern{"leak", "Memory manager not clean", false},
    Pattern{"panic", "Kernel panic", true},
};

// "[    1.234567] [ T42] text" or "[    1.234567][   T42] text": what comes before the text.
std::string_view message_of(std::string_view line) {
  while (line.ends_with('\r') || line.ends_with('\n')) line.remove_suffix(1);
  for (;;) {
    while (line.starts_with(' ')) line.remove_prefix(1);
    if (!line.starts_with('[')) return line;
    const std::size_t end = line.find(']');
    const std::string_view inside = line.substr(1, end == line.npos ? 0 : end - 1);
    const bool is_stamp = !inside.empty() && inside.find_first_not_of(" 0123456789.TC") == inside.npos;
    if (!is_stamp) return line;
    line.remove_prefix(end + 1);
  }
}

const Pattern* match(std::string_view message) {
  const auto found = std::ranges::find_if(kPatterns, [&](const Pattern& pattern) {
    return pattern.at_start ? message.starts_with(pattern.text) : message.contains(pattern.text);
  });
  return found == kPatterns.end() ? nullptr : &*found;
}

template <typename Each>
void for_each_line(std::string_view text, Each each) {
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    each(text.substr(0, end), number);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::string_view trimmed(std::string_view text) {
  while (text.ends_with(' ')) text.remove_suffix(1);
  while (text.starts_with(' ')) text.remove_prefix(1);
  return text;
}

}  // namespace

struct Judge::Expression {
  explicit Expression(const std::string& text)
      : regex(g_regex_new(text.c_str(), G_REGEX_OPTIMIZE, G_REGEX_MATCH_DEFAULT, nullptr)) {
    if (!regex) throw std::runtime_error("known noise: bad expression " + text);
  }
  Expression(const Expression&) = delete;
  ~Expression() { g_regex_unref(regex); }
  bool matches(const std::string& line) const {
    return g_regex_match(regex, line.c_str(), G_REGEX_MATCH_DEFAULT, nullptr);
  }
  GRegex* regex;
};

Judge::Judge(std::string_view noise) {
  for_each_line(noise, [this](std::string_view line, std::size_t number) {
    if (trimmed(line).empty() || line.starts_with('#')) return;
    const std::size_t reason = line.find("  # ");
    if (reason == line.npos) {
      throw std::runtime_error("known noise, line " + std::to_string(number) + ": no reason");
    }
    noise_.push_back(std::make_shared<Expression>(std::string{trimmed(line.substr(0, reason))}));
  });
}

std::vector<KernelReport> Judge::reports(std::string_view log) const {
  std::vector<KernelReport> found;
  for_each_line(log, [&](std::string_view line, std::size_t number) {
    const std::string_view message = message_of(line);
    const Pattern* pattern = match(message);
    if (!pattern) return;
    const std::string text{message};
    if (std::ranges::any_of(noise_, [&](const auto& e) { return e->matches(text); })) return;
    found.push_back({std::string{pattern->kind}, text, number});
  });
  return found;
}

}  // namespace figment::host
