// SPDX-License-Identifier: MIT
//
// The section of the page about the comparisons: a GPU beside what Linux itself has that works on
// pages past the page tables.
#include <algorithm>
#include <format>
#include <map>

#include "html.h"
#include "matrix_page.h"

namespace figment::host {

namespace {

// Cells as in the table, and wrong words of what is no GPU, which fail nothing.
std::string state_of(const CompareRow& row) {
  if (!row.right) return "wrong";
  if (!row.skipped.empty()) return "skipped";
  if (row.wrong_words() == 0) return "right";
  return row.gpu ? "caught" : "told";
}

std::string title_of(const CompareRow& row) {
  std::string text = std::format("{}, {}, {}", row.user, row.pages, row.situation);
  for (const std::string& one : row.complaints) text += "\n" + one;
  if (!row.skipped.empty()) return text + "\nskipped: " + row.skipped;
  text += std::format("\n{} of {} rounds wrong; of {} words {} lost, {} leaked", row.wrong_rounds,
                      row.rounds, grouped(row.words), grouped(row.lost_words),
                      grouped(row.leaked_words));
  for (const Sighting& one : row.saw) {
    text += std::format("\n{} saw {}'s: {} words {}", one.viewer, one.whose, grouped(one.words),
                        one.judgement);
  }
  return text;
}

// Who saw whose, without the numbers: what went wrong is seen at a glance. What was lost shows as
// an old value.
std::string short_sightings(const CompareRow& row) {
  std::string text;
  for (const Sighting& one : row.saw) {
    text += std::format("{}{} saw {}{}", text.empty() ? "" : ", ", one.viewer, one.whose,
                        one.judgement == "lost" ? " (old)" : "");
  }
  return text;
}

std::string cell(const CompareRow& row) {
  std::string content = std::format("{} of {}", row.wrong_rounds, row.rounds);
  if (!row.skipped.empty()) content = "skipped";
  content += element("small", {},
                     escape(row.skipped.empty() && row.wrong_words() ? short_sightings(row)
                            : row.skipped.empty()                    ? ""
                                                                     : "reason below"));
  return element("td", {{"class", "cell " + state_of(row)}, {"title", title_of(row)}}, content);
}

struct Line {
  std::string pages;
  std::string situation;
  std::map<std::string, const CompareRow*> rows;
};

// A table of one comparison: a line for each situation, a column for each user, as they came.
std::string table(const Matrix& matrix, const std::string& comparison) {
  std::vector<std::string> users;
  std::vector<Line> lines;
  for (const CompareRow& row : matrix.compares) {
    if (row.comparison != comparison) continue;
    if (!std::ranges::contains(users, row.user)) users.push_back(row.user);
    auto line = std::ranges::find_if(lines, [&](const Line& one) {
      return one.pages == row.pages && one.situation == row.situation;
    });
    if (line == lines.end()) {
      lines.push_back({.pages = row.pages, .situation = row.situation, .rows = {}});
      line = lines.end() - 1;
    }
    line->rows[row.user] = &row;
  }
  if (lines.empty()) return element("p", {}, "not recorded");
  // Reading and writing users take turns in the rows; on the page they are two blocks.
  std::ranges::stable_sort(lines, {}, [](const Line& line) {
    return std::pair(line.pages, line.situation.starts_with("writing"));
  });
  std::string head =
      element("th", {{"class", "name"}}, "pages") + element("th", {{"class", "name"}}, "situation");
  for (const std::string& user : users) head += element("th", {}, escape(user));
  std::string body;
  for (const Line& line : lines) {
    std::string cells = element("td", {{"class", "name"}}, escape(line.pages)) +
                        element("td", {{"class", "name"}}, escape(line.situation));
    for (const std::string& user : users) {
      const auto found = line.rows.find(user);
      cells += found == line.rows.end() ? element("td", {{"class", "cell none"}}, "·")
                                        : cell(*found->second);
    }
    body += element("tr", {}, cells);
  }
  return element(
      "div", {{"class", "scroll"}},
      element("table", {{"class", "plain"}},
              element("thead", {}, element("tr", {}, head)) + element("tbody", {}, body)));
}

// Of each user, in all rows of a comparison.
std::string sums(const Matrix& matrix, const std::string& comparison) {
  struct Sum {
    std::string user;
    std::uint64_t rounds = 0, wrong_rounds = 0, words = 0, lost = 0, leaked = 0;
  };
  std::vector<Sum> found;
  for (const CompareRow& row : matrix.compares) {
    if (row.comparison != comparison || !row.skipped.empty()) continue;
    auto sum = std::ranges::find(found, row.user, &Sum::user);
    if (sum == found.end()) {
      found.push_back({.user = row.user});
      sum = found.end() - 1;
    }
    sum->rounds += row.rounds;
    sum->wrong_rounds += row.wrong_rounds;
    sum->words += row.words;
    sum->lost += row.lost_words;
    sum->leaked += row.leaked_words;
  }
  std::string rows;
  for (const Sum& sum : found) {
    std::string cells = element("td", {{"class", "name"}}, escape(sum.user));
    for (const std::uint64_t number :
         {sum.rounds, sum.wrong_rounds, sum.words, sum.lost, sum.leaked}) {
      cells += element("td", {}, grouped(number));
    }
    rows += element("tr", {}, cells);
  }
  if (rows.empty()) return "";
  std::string head = element("th", {{"class", "name"}}, "user");
  for (const char* name : {"rounds", "wrong", "words checked", "lost", "leaked"}) {
    head += element("th", {}, name);
  }
  return element(
      "div", {{"class", "scroll"}},
      element("table", {{"class", "plain"}},
              element("thead", {}, element("tr", {}, head)) + element("tbody", {}, rows)));
}

std::string reasons(const Matrix& matrix) {
  std::map<std::string, std::vector<std::string>> found;
  for (const CompareRow& row : matrix.compares) {
    if (row.skipped.empty()) continue;
    auto& users = found[row.skipped];
    if (!std::ranges::contains(users, row.user)) users.push_back(row.user);
  }
  std::string items;
  for (const auto& [reason, users] : found) {
    std::string text;
    for (const std::string& user : users) text += (text.empty() ? "" : ", ") + user;
    items += element("li", {}, element("b", {}, escape("Skipped: " + reason)) + " " + escape(text));
  }
  return items.empty() ? "" : element("ul", {{"class", "reasons"}}, items);
}

}  // namespace

std::string compare_section(const Matrix& matrix) {
  if (matrix.compares.empty()) return element("p", {}, "not recorded");
  return element("h3", {}, "One fork, and a user that writes before, during or after it") +
         table(matrix, "direct") + sums(matrix, "direct") +
         element("h3", {}, "A forks B, B forks C") + table(matrix, "tree") + sums(matrix, "tree") +
         reasons(matrix);
}

}  // namespace figment::host
