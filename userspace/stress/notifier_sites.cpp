// SPDX-License-Identifier: MIT
#include "notifier_sites.h"

#include <algorithm>
#include <array>
#include <format>
#include <ranges>

namespace figment::stress {
namespace {

constexpr std::string_view kRelease = "RELEASE";

/// In the order of their files; the last one is the end of the process.
constexpr NotifierSite kSites[] = {
    {"copy_page_range", "mm/memory.c", "PROTECTION_PAGE"},
    {"zap_vma_for_reaping", "mm/memory.c", "CLEAR"},
    {"unmap_vmas", "mm/memory.c", "UNMAP"},
    {"zap_vma_range_batched", "mm/memory.c", "CLEAR"},
    {"wp_page_copy", "mm/memory.c", "CLEAR", "do_wp_page"},
    {"remove_device_exclusive_entry", "mm/memory.c", "CLEAR", "do_swap_page"},
    {"copy_hugetlb_page_range", "mm/hugetlb.c", "CLEAR"},
    {"move_hugetlb_page_tables", "mm/hugetlb.c", "CLEAR"},
    {"unmap_hugepage_range", "mm/hugetlb.c", "CLEAR"},
    {"hugetlb_wp", "mm/hugetlb.c", "CLEAR"},
    {"hugetlb_change_protection", "mm/hugetlb.c", "PROTECTION_VMA"},
    {"hugetlb_unshare_pmds", "mm/hugetlb.c", "CLEAR"},
    {"page_vma_mkclean_one", "mm/rmap.c", "PROTECTION_PAGE", "page_mkclean_one"},
    {"try_to_unmap_poisoned_hugetlb_one", "mm/rmap.c", "CLEAR"},
    {"try_to_unmap_one", "mm/rmap.c", "CLEAR"},
    {"try_to_migrate_one", "mm/rmap.c", "CLEAR"},
    {"make_device_exclusive", "mm/rmap.c", "EXCLUSIVE"},
    {"do_huge_zero_wp_pmd", "mm/huge_memory.c", "CLEAR", "do_huge_pmd_wp_page"},
    {"move_pages_huge_pmd", "mm/huge_memory.c", "CLEAR"},
    {"__split_huge_pud", "mm/huge_memory.c", "CLEAR", "",
     "only files of DAX and device memory have huge pages of that size"},
    {"__split_huge_pmd", "mm/huge_memory.c", "CLEAR"},
    {"collapse_huge_page", "mm/khugepaged.c", "CLEAR"},
    {"try_collapse_pte_mapped_thp", "mm/khugepaged.c", "CLEAR", "collapse_pte_mapped_thp"},
    {"retract_page_tables", "mm/khugepaged.c", "CLEAR", "collapse_file"},
    {"write_protect_page", "mm/ksm.c", "CLEAR"},
    {"replace_page", "mm/ksm.c", "CLEAR", "try_to_merge_one_page"},
    {"migrate_vma_collect", "mm/migrate_device.c", "MIGRATE", "migrate_vma_setup"},
    {"__migrate_device_pages", "mm/migrate_device.c", "MIGRATE",
     "migrate_vma_pages migrate_device_pages"},
    {"madvise_free_single_vma", "mm/madvise.c", "CLEAR", "madvise_vma_behavior"},
    {"change_pud_range", "mm/mprotect.c", "PROTECTION_VMA", "change_protection"},
    {"move_page_tables", "mm/mremap.c", "UNMAP"},
    {"move_pages_ptes", "mm/userfaultfd.c", "CLEAR", "move_pages"},
    {"wp_clean_pre_vma", "mm/mapping_dirty_helpers.c", "PROTECTION_PAGE", "",
     "its one user, vmwgfx, does it to mappings of its own buffers"},
    {"clear_refs_write", "fs/proc/task_mmu.c", "SOFT_DIRTY"},
    {"do_pagemap_scan", "fs/proc/task_mmu.c", "PROTECTION_VMA"},
    {"uprobe_write", "kernel/events/uprobes.c", "CLEAR"},
    {"mn_itree_release", "mm/mmu_notifier.c", kRelease, "__mmu_notifier_release"},
};

constexpr std::array<std::string_view, 8> kEvents = {
    "UNMAP",      "CLEAR",  "PROTECTION_VMA", "PROTECTION_PAGE",
    "SOFT_DIRTY", kRelease, "MIGRATE",        "EXCLUSIVE"};

bool is_called(const NotifierSite& site, std::string_view function) {
  return site.name == function ||
         std::ranges::any_of(std::views::split(site.inlined, ' '),
                             [&](auto word) { return std::string_view(word) == function; });
}

std::string in_words(const NotifierCall& call, std::uint64_t count) {
  std::string text =
      std::format("{} calls of {} ({}{}) from a place that is not in the table:", count, call.event,
                  call.strategy, call.svm ? ", svm" : "");
  for (const auto& function : call.stack) text += " < " + function;
  return text;
}

}  // namespace

std::span<const NotifierSite> notifier_sites() {
  return kSites;
}

std::span<const std::string_view> notifier_events() {
  return kEvents;
}

const NotifierSite* notifier_site_named(std::string_view name) {
  const auto* found = std::ranges::find(kSites, name, &NotifierSite::name);
  return found == std::end(kSites) ? nullptr : found;
}

const NotifierSite* site_of(const NotifierCall& call) {
  const std::string_view caller = caller_of(call);
  const auto* found = std::ranges::find_if(kSites, [&](const NotifierSite& site) {
    return site.event == call.event && is_called(site, caller);
  });
  return found == std::end(kSites) ? nullptr : found;
}

void Coverage::add(const std::map<NotifierCall, std::uint64_t>& calls, std::string_view mirror) {
  for (const auto& [call, count] : calls) {
    if (!call.busy) continue;
    if (const NotifierSite* site = site_of(call)) {
      const std::string_view strategy = call.svm ? mirror : std::string_view(call.strategy);
      counts_[{site, std::string(caller_of(call)), std::string(strategy)}] += count;
    } else {
      unknown_[call] += count;
    }
  }
}

void Coverage::add(const Coverage& other) {
  for (const auto& [key, count] : other.counts_) counts_[key] += count;
  for (const auto& [call, count] : other.unknown_) unknown_[call] += count;
}

std::uint64_t Coverage::count(const NotifierSite& site, std::string_view strategy) const {
  std::uint64_t sum = 0;
  for (const auto& [key, count] : counts_) {
    if (key.site == &site && key.strategy == strategy) sum += count;
  }
  return sum;
}

bool Coverage::reached(std::string_view site) const {
  return std::ranges::any_of(counts_,
                             [&](const auto& one) { return one.first.site->name == site; });
}

bool Coverage::reached_event(std::string_view event, std::string_view strategy) const {
  return std::ranges::any_of(counts_, [&](const auto& one) {
    return one.first.site->event == event && one.first.strategy == strategy;
  });
}

std::vector<std::string> Coverage::surprises() const {
  std::vector<std::string> found;
  for (const auto& [call, count] : unknown_) found.push_back(in_words(call, count));
  for (const NotifierSite& site : kSites) {
    if (site.why.empty() || !reached(site.name)) continue;
    found.push_back(std::format("{} was reached, and the table says why that cannot be: {}",
                                site.name, site.why));
  }
  return found;
}

std::vector<std::string> Coverage::missing() const {
  std::vector<std::string> found;
  for (const NotifierSite& site : kSites) {
    if (!site.why.empty() || reached(site.name)) continue;
    found.push_back(std::format("{} was not reached, and the table has no reason", site.name));
  }
  return found;
}

NotifierWatch::NotifierWatch() {
  // Of each CPU: a row of the table fits in many times over.
  trace_.set("buffer_size_kb", "16384");
  trace_.set("options/stacktrace", "1");
  trace_.set("events/figment/figment_notifier/filter", "busy == 1");
  trace_.set("events/figment/figment_notifier/enable", "1");
}

Coverage NotifierWatch::take(const Concerns& concerns, std::string_view mirror) {
  Coverage coverage;
  coverage.add(parser_.parse(trace_.take(), concerns), mirror);
  return coverage;
}

}  // namespace figment::stress
