// SPDX-License-Identifier: MIT
#include "judge.h"

#include <glib.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "stack_trace.h"

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
    Pattern{"atomic sleep", "BUG: sleeping function called from invalid context", true},
    Pattern{"atomic sleep", "BUG: scheduling while atomic", true},
    Pattern{"preemption", "BUG: using __this_cpu", true},
    Pattern{"preemption", "BUG: using smp_processor_id", true},
    Pattern{"lockdep", "BUG: Invalid wait context", true},
    Pattern{"lockdep", "[ BUG: Invalid wait context ]", true},
    Pattern{"lockdep", "WARNING: Nested lock was not taken", true},
    Pattern{"lockdep", "WARNING: lock held when returning to user space", true},
    Pattern{"lockdep", "WARNING: still has locks held", true},
    Pattern{"lockdep", "WARNING: bad lock", true},
    Pattern{"lockdep", "BUG: held lock freed", true},
    Pattern{"lockdep", "BUG: spinlock", true},
    Pattern{"bad page", "BUG: Bad page", true},
    Pattern{"bad page", "BUG: Bad rss-counter", true},
    Pattern{"stall", "rcu: INFO: rcu_", true},
    Pattern{"stall", "INFO: rcu_", true},
    Pattern{"hung task", "INFO: task ", true},
    Pattern{"refcount", "refcount_t:", true},
    Pattern{"dma", "DMA-API:", false},
    Pattern{"iommu", "DMAR: [DMA", true},
    Pattern{"kmemleak", "new suspected memory leaks", false},
    Pattern{"debug object", "ODEBUG:", true},
    Pattern{"slab", "BUG kmalloc", true},
    Pattern{"list", "list_add corruption", false},
    Pattern{"list", "list_add double add", false},
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
    Pattern{"leak", "Objects remaining", false},
    Pattern{"panic", "Kernel panic", true},
};

// A report is no longer than this, and its first frame comes this soon.
constexpr std::size_t kTraceLines = 160;
constexpr std::size_t kToFirstFrame = 60;

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

bool is_rule(std::string_view message) {
  return message.size() > 10 && message.find_first_not_of('=') == message.npos;
}

// The lines of `lines` from `begin` on that belong to the report before them. A report ends with
// its call trace; KASAN's, which has several, with a line of its own.
std::vector<std::string> trace_from(const std::vector<std::string_view>& lines, std::size_t begin,
                                    std::string_view kind) {
  std::vector<std::string> trace;
  std::size_t with_frames = 0;  // lines up to the last one that has a frame
  for (std::size_t i = begin; i < std::min(lines.size(), begin + kTraceLines); ++i) {
    const std::string_view message = lines[i];
    if (is_rule(message) || message.contains("---[ end trace")) break;
    if (with_frames == 0 && i - begin >= kToFirstFrame) break;
    trace.emplace_back(message);
    if (frame_in(message)) with_frames = trace.size();
    if (message.contains("</TASK>") && kind != "kasan") break;
  }
  trace.resize(with_frames);
  return trace;
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
  std::vector<std::string_view> lines;
  for_each_line(log, [&](std::string_view line, std::size_t) { lines.push_back(message_of(line)); });
  std::vector<KernelReport> found;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const Pattern* pattern = match(lines[i]);
    if (!pattern) continue;
    const std::string text{lines[i]};
    if (std::ranges::any_of(noise_, [&](const auto& e) { return e->matches(text); })) continue;
    found.push_back({.kind = std::string{pattern->kind},
                     .line = text,
                     .line_number = i + 1,
                     .trace = trace_from(lines, i + 1, pattern->kind)});
  }
  return found;
}

}  // namespace figment::host
