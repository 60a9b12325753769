// SPDX-License-Identifier: MIT
#include "cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "temporary_folder.h"

namespace figment::host {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

Inputs inputs_of(const std::string& value) {
  Inputs inputs;
  inputs.add("thing", value);
  return inputs;
}

TEST(Inputs, keys_depend_on_labels_and_values_and_not_on_order) {
  Inputs a, b, c, d;
  a.add("x", "1"), a.add("y", "2");
  b.add("y", "2"), b.add("x", "1");
  c.add("x", "2"), c.add("y", "1");
  d.add("x", "1"), d.add("z", "2");
  EXPECT_EQ(a.key(), b.key());
  EXPECT_NE(a.key(), c.key());
  EXPECT_NE(a.key(), d.key());
  EXPECT_THAT(a.key(), SizeIs(16));
}

TEST(Inputs, say_what_differs) {
  Inputs a, b;
  a.add("same", "1"), a.add("changed", "1"), a.add("only here", "1");
  b.add("same", "1"), b.add("changed", "2");
  EXPECT_THAT(a.differences(b), ElementsAre("changed", "only here"));
  EXPECT_THAT(a.differences(a), IsEmpty());
}

TEST(Inputs, survive_being_written_down) {
  Inputs a;
  a.add("a label with blanks", "1"), a.add("b", "");
  EXPECT_EQ(Inputs::parse(a.text()), a);
}

TEST(Inputs, of_a_folder_see_content_names_modes_and_not_hidden_files) {
  const TemporaryFolder folder;
  const auto key = [&] {
    Inputs inputs;
    inputs.add_path("folder", folder.path());
    return inputs.key();
  };
  write_file(folder.path() / "a", "1");
  const std::string first = key();
  write_file(folder.path() / ".hidden", "x");
  EXPECT_EQ(key(), first);
  fs::permissions(folder.path() / "a", fs::perms::owner_all);
  const std::string second = key();
  EXPECT_NE(second, first);
  write_file(folder.path() / "a", "2");
  const std::string third = key();
  EXPECT_NE(third, second);
  fs::rename(folder.path() / "a", folder.path() / "b");
  EXPECT_NE(key(), third);
}

TEST(Cache, makes_an_entry_once) {
  const TemporaryFolder folder;
  const Cache cache(folder.path());
  int made = 0;
  const auto make = [&](const fs::path& into) {
    ++made;
    write_file(into / "product", "p");
  };
  const fs::path entry = cache.get("part", inputs_of("1"), make, {});
  EXPECT_EQ(cache.get("part", inputs_of("1"), make, {}), entry);
  EXPECT_EQ(made, 1);
  EXPECT_EQ(read_file(entry / "product"), "p");
  EXPECT_NE(cache.get("part", inputs_of("2"), make, {}), entry);
  EXPECT_EQ(made, 2);
}

TEST(Cache, an_entry_that_failed_half_way_is_never_used) {
  const TemporaryFolder folder;
  const Cache cache(folder.path());
  const Inputs inputs = inputs_of("1");
  EXPECT_THROW(cache.get("part", inputs,
                         [](const fs::path& into) {
                           write_file(into / "half", "h");
                           throw Failure("the power went");
                         },
                         {}),
               Failure);
  EXPECT_FALSE(cache.find("part", inputs.key()));
  EXPECT_THAT(cache.leftovers(), SizeIs(1));
  EXPECT_THAT(cache.entries("part"), IsEmpty());
  // The next one starts from nothing.
  const fs::path entry = cache.get("part", inputs,
                                   [](const fs::path& into) {
                                     EXPECT_FALSE(fs::exists(into / "half"));
                                     write_file(into / "whole", "w");
                                   },
                                   {});
  EXPECT_TRUE(fs::exists(entry / "whole"));
  EXPECT_THAT(cache.leftovers(), IsEmpty());
}

// What is left when a process dies at any point before the rename, even with the final name by
// some accident: without its last file an entry does not count.
TEST(Cache, a_folder_without_its_inputs_is_no_entry) {
  const TemporaryFolder folder;
  const Cache cache(folder.path());
  const Inputs inputs = inputs_of("1");
  fs::create_directories(folder.path() / "part" / inputs.key());
  EXPECT_FALSE(cache.find("part", inputs.key()));
  EXPECT_THAT(cache.entries(), IsEmpty());
}

TEST(Cache, that_makes_nothing_says_where_an_entry_would_be) {
  const TemporaryFolder folder;
  const Cache cache(folder.path(), true);
  const Inputs inputs = inputs_of("1");
  const fs::path entry =
      cache.get("part", inputs, [](const fs::path&) { FAIL() << "must not make"; }, {});
  EXPECT_EQ(entry, folder.path() / "part" / inputs.key());
  EXPECT_FALSE(fs::exists(entry));
}

TEST(Cache, lists_entries_newest_first) {
  const TemporaryFolder folder;
  const Cache cache(folder.path());
  const auto make = [](const fs::path&) {};
  const fs::path a = cache.get("part", inputs_of("1"), make, {});
  const fs::path b = cache.get("part", inputs_of("2"), make, {});
  fs::last_write_time(a, fs::last_write_time(b) - std::chrono::hours(1));
  const auto entries = cache.entries("part");
  ASSERT_THAT(entries, SizeIs(2));
  EXPECT_EQ(entries[0].path, b);
  EXPECT_EQ(entries[1].path, a);
}

}  // namespace
}  // namespace figment::host
