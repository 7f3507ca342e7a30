#include <gtest/gtest.h>

#include <random>

#include "dpusim/cluster_map.hpp"

namespace vnvme::sim {
namespace {

TEST(ClusterMap, JoinsRunsThatTouch) {
  ClusterMap map;
  map.insert({0, 10, 2});
  map.insert({2, 12, 3});
  map.insert({5, 30, 1});
  EXPECT_EQ(map.runs().size(), 2u);
  EXPECT_EQ(map.count(), 6u);
  EXPECT_EQ(map.find(4), 14u);
  EXPECT_EQ(map.find(5), 30u);
  EXPECT_EQ(map.find(6), 0u);
}

TEST(ClusterMap, CutsInTheMiddleOfARun) {
  ClusterMap map;
  map.insert({0, 10, 10});
  map.insert({20, 40, 2});
  auto gone = map.cut(4);
  EXPECT_EQ(map.count(), 4u);
  EXPECT_EQ(map.find(3), 13u);
  EXPECT_EQ(map.find(4), 0u);
  ASSERT_EQ(gone.size(), 2u);
  EXPECT_EQ(gone[0].cluster, 14u);
  EXPECT_EQ(gone[0].length, 6u);
  EXPECT_TRUE(map.cut(4).empty());
  EXPECT_EQ(map.cut(0).size(), 1u);
  EXPECT_EQ(map.count(), 0u);
}

// Against the plainest thing that could be right.
TEST(ClusterMap, BehavesLikeATable) {
  std::mt19937 random(1);
  ClusterMap map;
  std::map<std::uint64_t, std::uint64_t> table;
  for (int step = 0; step < 5000; ++step) {
    std::uint64_t index = random() % 100, length = 1 + random() % 5, cluster = 1 + random() % 1000;
    if (random() % 50 == 0) {
      map.cut(index);
      table.erase(table.lower_bound(index), table.end());
      continue;
    }
    bool free = true;
    for (std::uint64_t i = 0; i < length; ++i) free = free && !table.contains(index + i);
    if (!free) continue;
    map.insert({index, cluster, length});
    for (std::uint64_t i = 0; i < length; ++i) table[index + i] = cluster + i;
  }
  EXPECT_EQ(map.count(), table.size());
  for (std::uint64_t i = 0; i < 110; ++i) {
    auto it = table.find(i);
    EXPECT_EQ(map.find(i), it == table.end() ? 0 : it->second) << i;
  }
}

TEST(ClusterPool, TakesTheLowestAndAllOrNothing) {
  ClusterPool pool(3, 10);
  EXPECT_EQ(pool.free(), 7u);
  EXPECT_TRUE(pool.take(8).empty());
  auto first = pool.take(4);
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0].cluster, 3u);
  pool.give({0, 4, 1});
  auto next = pool.take(2);
  ASSERT_EQ(next.size(), 2u);
  EXPECT_EQ(next[0].cluster, 4u);
  EXPECT_EQ(next[1].index, 1u);
  EXPECT_EQ(next[1].cluster, 7u);
  EXPECT_EQ(pool.free(), 2u);
}

TEST(ClusterPool, RefusesWhatIsTakenOrOutside) {
  ClusterPool pool(3, 10);
  EXPECT_FALSE(pool.claim({0, 2, 1}));
  EXPECT_FALSE(pool.claim({0, 9, 2}));
  EXPECT_FALSE(pool.claim({0, UINT64_MAX, 2}));
  EXPECT_TRUE(pool.claim({0, 8, 2}));
  EXPECT_FALSE(pool.claim({0, 7, 2}));
  EXPECT_EQ(pool.free(), 5u);
  pool.grow(12);
  EXPECT_EQ(pool.free(), 7u);
  pool.grow(5);
  EXPECT_EQ(pool.end(), 12u);
}

}  // namespace
}  // namespace vnvme::sim
