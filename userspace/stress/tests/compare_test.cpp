// SPDX-License-Identifier: MIT
//
// The plan of the comparisons, what their words have to be, and which rows fail a run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "compare_report.h"
#include "tree_model.h"

namespace figment::stress {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::vector<CompareRowConfig> rows(Comparison comparison) {
  const PageKind* kinds[] = {page_kind_named("4k")};
  return rows_of(comparison, kinds);
}

CompareUser user(Comparison comparison, std::string_view name, Access access) {
  for (const CompareUser& one : users_of(comparison)) {
    if (one.name() == name && one.access == access) return one;
  }
  throw std::logic_error("no such user");
}

CompareRowConfig direct(std::string_view name, Timing timing) {
  return {.comparison = Comparison::direct,
          .user = user(Comparison::direct, name, Access::read_write),
          .pages = *page_kind_named("4k"),
          .timing = timing};
}

CompareRowConfig tree(std::string_view name, Access access, std::string_view binding) {
  return {.comparison = Comparison::tree,
          .user = user(Comparison::tree, name, access),
          .pages = *page_kind_named("4k"),
          .binding = *std::ranges::find(bindings(), binding, &Binding::name)};
}

CompareResult result(const CompareRowConfig& config, Judgement judgement) {
  CompareResult row{.config = config};
  row.rounds = 4;
  for (int word = 0; word < 64; ++word) {
    row.sightings.add(Who::b, judgement, Written{Who::user, 7});
  }
  row.wrong_rounds = judgement != Judgement::right;
  return row;
}

TEST(ComparePlan, has_each_user_at_each_time_and_each_place_once) {
  const auto direct_rows = rows(Comparison::direct);
  EXPECT_EQ(direct_rows.size(), users_of(Comparison::direct).size() * 3 * 2);
  const auto tree_rows = rows(Comparison::tree);
  EXPECT_EQ(tree_rows.size(), users_of(Comparison::tree).size() * bindings().size());
  std::set<std::string> names;
  for (const auto& row : direct_rows) EXPECT_TRUE(names.insert(describe(row)).second);
  for (const auto& row : tree_rows) EXPECT_TRUE(names.insert(describe(row)).second);
}

TEST(ComparePlan, has_no_children_without_the_memory) {
  for (const CompareUser& one : users_of(Comparison::tree)) EXPECT_NE(one.name(), "dontfork");
}

TEST(ComparePlan, asks_for_the_control_where_its_pages_get_shared) {
  EXPECT_TRUE(must_catch(direct("unsafe", Timing::before)));
  EXPECT_TRUE(must_catch(direct("unsafe", Timing::during)));
  EXPECT_FALSE(must_catch(direct("unsafe", Timing::after)));
  EXPECT_FALSE(must_catch(direct("fence", Timing::before)));
  EXPECT_FALSE(must_catch(direct("direct-read", Timing::before)));
  std::vector<std::string_view> caught;
  for (const Binding& binding : bindings()) {
    EXPECT_TRUE(must_catch(tree("unsafe", Access::read_only, binding.name))) << binding.name;
    if (must_catch(tree("unsafe", Access::read_write, binding.name))) {
      caught.push_back(binding.name);
    }
  }
  EXPECT_THAT(caught, ElementsAre("A0", "B1"));
}

TEST(ComparePlan, lets_everybody_write_first_and_last) {
  std::set<std::array<Who, 3>> orders;
  for (std::uint64_t round = 0; round < 6; ++round) orders.insert(writing_order(round, 5));
  EXPECT_EQ(orders.size(), 6u);
  EXPECT_EQ(writing_order(0, 1), writing_order(1, 0));
}

TEST(ComparedWords, tell_who_wrote_them) {
  for (const Written written : {Written{}, Written{Who::user, 9}, Written{Who::a, 1},
                                Written{Who::b, 2}, Written{Who::c, 3}}) {
    EXPECT_EQ(written_of(word_of(written, 5), 5), written);
  }
  const Word word = word_of({Who::user, 9}, 5);
  EXPECT_EQ(written_of(word, 6), std::nullopt) << "of another page";
  EXPECT_EQ(written_of(word ^ (Word{1} << 40), 5), std::nullopt) << "torn";
}

TEST(ComparedWords, sectors_of_a_page_do_not_overlap) {
  for (std::uint32_t page = 0; page < 16; ++page) {
    EXPECT_NE(stamps_at(page), marks_at(page));
    for (const auto at : {stamps_at(page), marks_at(page)}) {
      EXPECT_EQ(at / kPageBytes, page);
      EXPECT_EQ(at % kSectorBytes, 0u);
    }
  }
}

TEST(ComparedWords, history_tells_lost_from_leaked) {
  History history;
  history.write({Who::a, 1});
  const History before = history;
  history.write({Who::b, 2});
  EXPECT_EQ(history.judge(Written{Who::b, 2}), Judgement::right);
  EXPECT_EQ(history.judge(Written{Who::a, 1}), Judgement::lost);
  EXPECT_EQ(history.judge(Written{}), Judgement::lost);
  EXPECT_EQ(history.judge(Written{Who::a, 3}), Judgement::leaked);
  EXPECT_EQ(history.judge(std::nullopt), Judgement::leaked);
  EXPECT_EQ(before.judge(Written{Who::b, 2}), Judgement::leaked);
}

TEST(ComparedWords, stamps_in_flight_may_be_old_or_new_and_nothing_else) {
  const StampWindow window{.first = 3, .last = 5};
  EXPECT_EQ(window.judge(Written{Who::user, 2}), Judgement::lost);
  EXPECT_EQ(window.judge(Written{}), Judgement::lost);
  for (const Sequence n : {3u, 4u, 5u}) {
    EXPECT_EQ(window.judge(Written{Who::user, n}), Judgement::right);
  }
  EXPECT_EQ(window.judge(Written{Who::user, 6}), Judgement::leaked);
  EXPECT_EQ(window.judge(Written{Who::a, 4}), Judgement::leaked);
  EXPECT_EQ((StampWindow{.first = 0, .last = 1}).judge(Written{}), Judgement::right);
}

TEST(TreeModel, memory_is_private_and_the_user_has_that_of_who_bound_it) {
  TreeModel model(Who::b);
  model.write_mark(Who::a, 1);
  model.fork(Who::a, Who::b);
  model.write_stamp(1);
  model.fork(Who::b, Who::c);
  model.write_mark(Who::c, 2);
  model.write_mark(Who::a, 3);
  model.write_stamp(2);
  EXPECT_EQ(model.marks(Who::a).now(), (Written{Who::a, 3}));
  EXPECT_EQ(model.marks(Who::b).now(), (Written{Who::a, 1}));
  EXPECT_EQ(model.marks(Who::c).now(), (Written{Who::c, 2}));
  EXPECT_EQ(model.marks(Who::user).now(), (Written{Who::a, 1}));
  EXPECT_EQ(model.stamps(Who::a).now(), Written{});
  EXPECT_EQ(model.stamps(Who::b).now(), (Written{Who::user, 2}));
  EXPECT_EQ(model.stamps(Who::c).now(), (Written{Who::user, 1})) << "what B had when it forked";
}

TEST(Sightings, add_up_by_who_saw_whose) {
  Sightings one;
  one.add(Who::b, Judgement::leaked, Written{Who::user, 3});
  one.add(Who::user, Judgement::lost, Written{Who::a, 1});
  one.add(Who::a, Judgement::right, Written{Who::a, 1});
  one.add(Who::c, Judgement::leaked, std::nullopt);
  Sightings all = one;
  all.add(one);
  EXPECT_EQ(all.words(), 8u);
  EXPECT_EQ(all.wrong(), 6u);
  EXPECT_EQ(all.count(Judgement::right), 2u);
  EXPECT_EQ(all.count(Who::b, Judgement::leaked, Who::user), 2u);
  EXPECT_EQ(all.count(Who::b, Judgement::lost, Who::user), 0u);
  EXPECT_EQ(who_saw_whose(one),
            "user saw A's (1 lost), B saw user's (1 leaked), C saw nobody's (1 leaked)");
}

TEST(CompareRow, of_a_safe_strategy_fails_with_one_wrong_word) {
  const CompareRowConfig config = direct("fence", Timing::before);
  EXPECT_THAT(complaints(result(config, Judgement::right)), IsEmpty());
  const CompareResult bad = result(config, Judgement::leaked);
  EXPECT_THAT(complaints(bad), ElementsAre("0 words were lost and 64 leaked, in 1 of 4 rounds"));
  EXPECT_EQ(verdict(bad), "wrong");
}

TEST(CompareRow, of_the_control_fails_where_it_is_not_caught) {
  EXPECT_THAT(complaints(result(direct("unsafe", Timing::before), Judgement::right)),
              ElementsAre(HasSubstr("blind")));
  EXPECT_EQ(verdict(result(direct("unsafe", Timing::before), Judgement::lost)), "caught");
  EXPECT_EQ(verdict(result(direct("unsafe", Timing::after), Judgement::right)), "right");
}

TEST(CompareRow, without_a_gpu_tells_wrong_words_and_does_not_fail) {
  const CompareResult row = result(tree("vmsplice", Access::read_only, "C2"), Judgement::lost);
  EXPECT_THAT(complaints(row), IsEmpty());
  EXPECT_EQ(verdict(row), "told");
}

TEST(CompareRow, that_has_checked_nothing_fails_unless_it_was_skipped) {
  CompareResult row{.config = direct("direct-read", Timing::before)};
  EXPECT_THAT(complaints(row), ElementsAre("nothing was done"));
  row.rounds = 1;
  EXPECT_THAT(complaints(row), ElementsAre("no word was checked"));
  row.skipped = "there is no nbd";
  EXPECT_THAT(complaints(row), IsEmpty());
  EXPECT_THAT(compare_line(row), HasSubstr("skipped: there is no nbd"));
  row.failures = {"kernel: BUG"};
  EXPECT_THAT(complaints(row), ElementsAre("kernel: BUG"));
}

TEST(CompareReport, json_has_what_was_planned_and_who_saw_whose) {
  const CompareResult results[] = {
      result(direct("unsafe", Timing::during), Judgement::leaked),
      result(tree("fence", Access::read_only, "B1"), Judgement::right)};
  const auto json = nlohmann::json::parse(to_json(results, 9, "7.3.4"));
  EXPECT_EQ(json.at("planned"), 9);
  EXPECT_EQ(json.at("kernel"), "7.3.4");
  const auto& first = json.at("rows").at(0);
  EXPECT_EQ(first.at("comparison"), "direct");
  EXPECT_EQ(first.at("timing"), "during");
  EXPECT_EQ(first.at("verdict"), "caught");
  EXPECT_EQ(first.at("leaked_words"), 64);
  EXPECT_EQ(
      first.at("saw").at(0),
      nlohmann::json({{"viewer", "B"}, {"whose", "user"}, {"judgement", "leaked"}, {"words", 64}}));
  const auto& second = json.at("rows").at(1);
  EXPECT_EQ(second.at("binder"), "B");
  EXPECT_EQ(second.at("forks_before"), 1);
  EXPECT_EQ(second.at("access"), "read");
  EXPECT_FALSE(second.contains("timing"));
}

TEST(CompareReport, summary_has_a_line_for_each_user_that_did_something) {
  const CompareResult results[] = {result(direct("unsafe", Timing::during), Judgement::leaked),
                                   result(direct("unsafe", Timing::before), Judgement::leaked),
                                   result(direct("io-uring", Timing::before), Judgement::right)};
  EXPECT_THAT(compare_summary(results),
              AllOf(HasSubstr("unsafe      writes wrong in     2 of     8 rounds"),
                    HasSubstr("io-uring    writes wrong in     0 of     4 rounds"),
                    Not(HasSubstr("fence"))));
}

}  // namespace
}  // namespace figment::stress
