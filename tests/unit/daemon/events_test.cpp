#include "vnvme/events.hpp"

#include <gtest/gtest.h>

namespace vnvme {
namespace {

std::vector<std::uint64_t> seqs(const std::vector<Event>& events) {
  std::vector<std::uint64_t> all;
  for (const Event& e : events) all.push_back(e.seq);
  return all;
}

using Seqs = std::vector<std::uint64_t>;

TEST(EventLog, EmptyHasNothingToShow) {
  EventLog log(4);
  EXPECT_EQ(log.last(), 0u);
  EXPECT_TRUE(log.since(0, 10).empty());
  EXPECT_TRUE(log.since(99, 10).empty());
  EXPECT_TRUE(log.latest(10).empty());
}

TEST(EventLog, KeepsTheNewestWhenFull) {
  EventLog log(3);
  for (int i = 0; i < 5; ++i) log.add("info", "o", std::to_string(i));
  EXPECT_EQ(seqs(log.since(0, 10)), (Seqs{3, 4, 5}));
  EXPECT_EQ(log.since(0, 1).front().text, "2");
  EXPECT_EQ(log.last(), 5u);
}

TEST(EventLog, SinceGivesOnlyNewerOnesAndAtMostMax) {
  EventLog log(8);
  for (int i = 0; i < 6; ++i) log.add("info", "o", "t");
  EXPECT_EQ(seqs(log.since(2, 2)), (Seqs{3, 4}));
  EXPECT_EQ(seqs(log.since(5, 9)), (Seqs{6}));
  EXPECT_TRUE(log.since(6, 9).empty());
  EXPECT_TRUE(log.since(7, 9).empty()) << "a reader from before the daemon's restart";
  EXPECT_TRUE(log.since(0, 0).empty());
}

TEST(EventLog, LatestGivesTheTail) {
  EventLog log(8);
  for (int i = 0; i < 6; ++i) log.add("info", "o", "t");
  EXPECT_EQ(seqs(log.latest(2)), (Seqs{5, 6}));
  EXPECT_EQ(seqs(log.latest(100)).size(), 6u);
}

TEST(EventLog, TextCannotBreakATerminalOrGrowWithoutBound) {
  EventLog log;
  log.add("shout", "vol\nume", std::string(10000, 'x') + "\x1b[31m");
  Event e = log.latest(1).front();
  EXPECT_EQ(e.level, "info");
  EXPECT_EQ(e.object.find('\n'), std::string::npos);
  EXPECT_LE(e.text.size(), 2048u + 3u);
  EXPECT_GT(e.wall_ms, 1600000000000);
}

}  // namespace
}  // namespace vnvme
