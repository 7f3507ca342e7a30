#include "cli/table.hpp"

#include <gtest/gtest.h>

#include "cli/verbs.hpp"
#include "core/json.hpp"
#include "core/text.hpp"

namespace vnvme::cli {
namespace {

Terminal wide(std::size_t columns) {
  return {columns, false, true};
}

TEST(Fit, CutsByColumnsNotBytes) {
  EXPECT_EQ(fit(wide(0), "abc", 3), "abc");
  EXPECT_EQ(fit(wide(0), "abcd", 3), "ab…");
  EXPECT_EQ(fit(wide(0), "数据库", 6), "数据库");
  EXPECT_EQ(fit(wide(0), "数据库", 5), "数据…");
  EXPECT_EQ(fit(wide(0), "数据库", 4), "数…") << "a wide character is not cut in two";
  EXPECT_EQ(fit(wide(0), "é́éé", 2), "é́…") << "combining marks stay with their letter";
  EXPECT_EQ(fit({0, false, false}, "abcd", 3), "ab~");
  EXPECT_EQ(fit(wide(0), "abcd", 1), "…");
  EXPECT_EQ(fit(wide(0), "abcd", 0), "");
}

TEST(Bar, ShowsSomethingForSomething) {
  EXPECT_EQ(bar({0, false, false}, 0, 4), "....");
  EXPECT_EQ(bar({0, false, false}, 0.001, 4), "#...");
  EXPECT_EQ(bar({0, false, false}, 1, 4), "####");
  EXPECT_EQ(bar({0, false, false}, 7, 4), "####");
  EXPECT_EQ(bar({0, false, false}, 0.0 / 0.0, 4), "....");
}

TEST(Duration, ReadsLikeAPersonSaysIt) {
  EXPECT_EQ(duration(0), "0 s");
  EXPECT_EQ(duration(59), "59 s");
  EXPECT_EQ(duration(60), "1 min");
  EXPECT_EQ(duration(3661), "1 h 1 min");
  EXPECT_EQ(duration(90000), "1 d 1 h");
}

Table sample() {
  Table table({{"NAME", false, 4}, {"SIZE", true}, {"NOTE", false, 0, 1}, {"EMPTY"}});
  table.add({"a long name", "1 GiB", "note", ""});
  table.add({"b", "20 GiB", "", ""});
  return table;
}

TEST(Table, AlignsAndLeavesOutEmptyColumns) {
  EXPECT_EQ(sample().render(wide(0)),
            "NAME           SIZE  NOTE\n"
            "a long name   1 GiB  note\n"
            "b            20 GiB\n");
}

TEST(Table, ShrinksBeforeItDrops) {
  EXPECT_EQ(sample().render(wide(20)),
            "NAME      SIZE  NOTE\n"
            "a lon…   1 GiB  note\n"
            "b       20 GiB\n");
  EXPECT_EQ(sample().render(wide(14)),
            "NAME      SIZE\n"
            "a lon…   1 GiB\n"
            "b       20 GiB\n")
      << "what shrank in vain gets its room back";
}

TEST(Table, NarrowerThanAnythingStillEnds) {
  for (std::size_t columns = 1; columns < 30; ++columns) EXPECT_FALSE(sample().render(wide(columns)).empty());
}

TEST(Table, StylesDoNotCountAsWidth) {
  Table table({{"A"}, {"B"}});
  table.add({{"x", Style::bad}, "y"});
  EXPECT_EQ(table.render({0, true, true}, false), "\x1b[31mx\x1b[0m  y\n");
  EXPECT_EQ(table.render({0, false, true}, false), "x  y\n");
}

TEST(Table, TextFromOutsideIsOneLine) {
  Table table({{"A"}});
  table.add({"a\nb\x1b[0m"});
  EXPECT_EQ(table.render(wide(0), false), "a\\nb\\x1b[0m\n");
}

TEST(Nearest, SuggestsOnlyWhatIsNear) {
  std::vector<std::string> known{"status", "volumes", "events"};
  EXPECT_EQ(nearest("statsu", known), "status");
  EXPECT_EQ(nearest("vol", known), "volumes");
  EXPECT_EQ(nearest("xyz", known), "");
  EXPECT_EQ(nearest(std::string(1000, 'a'), known), "");
}

TEST(Verbs, EachHasAStoryAnExampleAndRoomInTheHelp) {
  for (const Verb& v : verbs()) {
    EXPECT_FALSE(std::string(v.story).empty()) << v.name;
    EXPECT_FALSE(v.examples.empty()) << v.name;
    EXPECT_NE(general_help().find(v.summary), std::string::npos);
    EXPECT_NE(bash_completion().find(v.name), std::string::npos);
    for (const std::string& line : split(help_of(v), '\n')) EXPECT_LE(display_width(line), 100u) << line;
  }
}

TEST(Words, BadUtf8NeverReachesTheDaemon) {
  std::vector<std::string> words{"\xff\xfe"};
  EXPECT_FALSE(read_words(*find_verb("reserve"), words).has_value());
}

}  // namespace
}  // namespace vnvme::cli
