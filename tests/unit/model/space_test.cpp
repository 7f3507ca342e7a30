// What a pool may still promise.
#include "model/space.hpp"

#include <gtest/gtest.h>

namespace vnvme::model {
namespace {

const SrId kSr("11111111-0000-0000-0000-000000000001");

SrRecord sr(Provisioning provisioning) {
  SrRecord r;
  r.id = kSr;
  r.provisioning = provisioning;
  return r;
}

dpu::Pool pool(Bytes total, Bytes free) {
  dpu::Pool p;
  p.total = total;
  p.free = free;
  return p;
}

// One volume as the store and as the DPU have it.
struct Both {
  const char* id;
  Bytes size;
  std::optional<Bytes> allocated;
  bool thin = true;
  VolumeKind kind = VolumeKind::data;
  VolumeState state = VolumeState::ready;
  bool observed = true;
};

Space space_with(Provisioning provisioning, const std::vector<Both>& volumes) {
  Snapshot snapshot;
  Observed observed;
  std::uint64_t seq = 1;
  for (const auto& b : volumes) {
    VolumeRecord v;
    v.id = VolumeId(b.id);
    v.sr = kSr;
    v.size = b.size;
    v.kind = b.kind;
    v.state = b.state;
    v.dpu_id = DpuVolumeId(b.id);
    v.seq = seq++;
    snapshot.volumes.push_back(v);
    if (!b.observed) continue;
    dpu::DpuVolume o;
    o.id = v.dpu_id;
    o.thin = b.thin;
    o.allocated = b.allocated;
    observed[b.id] = o;
  }
  return space_of(sr(provisioning), World(std::move(snapshot)), pool(GiB(100), GiB(50)), observed);
}

TEST(Space, AThickPoolKeepsTheUnallocatedRest) {
  auto space = space_with(Provisioning::thick,
                          {{"a", GiB(10), GiB(4)}, {"b", GiB(5), GiB(5)}, {"c", GiB(3), Bytes{0}}});
  EXPECT_EQ(space.reserved, GiB(9));
  EXPECT_EQ(space.available(), GiB(41));
}

TEST(Space, WhatNeedsNoMoreIsNotReserved) {
  const Both each[] = {
      {"base", GiB(10), GiB(1), true, VolumeKind::base},
      {"snapshot", GiB(10), GiB(1), true, VolumeKind::snapshot},
      {"trash", GiB(10), GiB(1), true, VolumeKind::data, VolumeState::trash},
      {"still thick", GiB(10), GiB(1), false},
      {"not told", GiB(10), std::nullopt},
      {"not seen", GiB(10), GiB(1), true, VolumeKind::data, VolumeState::ready, false},
      {"more than its size", GiB(10), GiB(11)},
  };
  for (const auto& one : each) EXPECT_EQ(space_with(Provisioning::thick, {one}).reserved, Bytes{0}) << one.id;
  EXPECT_EQ(space_with(Provisioning::thin, {{"thin pool", GiB(10), GiB(1)}}).reserved, Bytes{0});
}

TEST(Space, PromisesBeyondTheFreeSpaceLeaveNothing) {
  auto space = space_with(Provisioning::thick, {{"a", GiB(80), GiB(1)}});
  EXPECT_EQ(space.available(), Bytes{0});
  EXPECT_DOUBLE_EQ(space.used_percent(), 100.0);
}

TEST(Space, PercentOfNothingIsNothing) {
  EXPECT_DOUBLE_EQ(Space{}.used_percent(), 0.0);
  EXPECT_DOUBLE_EQ((Space{GiB(8), GiB(2), {}}.used_percent()), 75.0);
  EXPECT_DOUBLE_EQ((Space{GiB(8), GiB(2), GiB(1)}.used_percent()), 87.5);
}

TEST(Allocate, ThickTakesWhatIsLeftToTheByte) {
  const Space space{GiB(10), GiB(4), GiB(1)};
  EXPECT_TRUE(may_allocate(sr(Provisioning::thick), space, GiB(3)));
  auto refused = may_allocate(sr(Provisioning::thick), space, GiB(3) + Bytes{1});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::no_space);
  EXPECT_EQ(refused.error().outcome, Outcome::not_done);
  EXPECT_NE(refused.error().text.find("3.0 GiB left of 10.0 GiB"), std::string::npos) << refused.error().text;
}

TEST(Allocate, ThinTakesAnySizeUntilThePoolIsNearlyFull) {
  const auto thin = sr(Provisioning::thin);
  EXPECT_TRUE(may_allocate(thin, Space{GiB(100), GiB(6), {}}, GiB(9000)));
  EXPECT_TRUE(may_allocate(thin, Space{}, GiB(1))) << "a pool of unknown size";
  auto refused = may_allocate(thin, Space{GiB(100), GiB(5), {}}, Bytes{1});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::no_space);
  EXPECT_NE(refused.error().text.find("95 % full"), std::string::npos) << refused.error().text;
}

Observed chain(const std::vector<std::pair<std::string, std::string>>& name_and_parent) {
  Observed out;
  for (const auto& [name, parent] : name_and_parent) {
    dpu::DpuVolume v;
    v.name = name;
    v.parent = parent;
    out["id of " + name] = v;
  }
  return out;
}

TEST(Depth, CountsTheSnapshotsBelow) {
  const auto volumes = chain({{"a", ""}, {"b", "a"}, {"c", "b"}, {"lost", "nowhere"}});
  EXPECT_EQ(depth_of(volumes, "a"), 0u);
  EXPECT_EQ(depth_of(volumes, "c"), 2u);
  EXPECT_EQ(depth_of(volumes, "unknown"), 0u);
  EXPECT_EQ(depth_of(volumes, "lost"), 1u) << "a parent that is not listed is still one";
}

TEST(Depth, ALoopEnds) {
  const auto loop = chain({{"a", "b"}, {"b", "a"}});
  EXPECT_EQ(depth_of(loop, "a"), 3u) << "one more than there are, hence more than any true chain";
}

TEST(WipePiece, FollowsTheSpeedOfTheDpu) {
  using std::chrono::milliseconds;
  EXPECT_EQ(next_wipe_piece(GiB(1), milliseconds(999), GiB(1)), GiB(2));
  EXPECT_EQ(next_wipe_piece(GiB(4), milliseconds(1000), GiB(1)), GiB(4));
  EXPECT_EQ(next_wipe_piece(GiB(4), milliseconds(3000), GiB(1)), GiB(4));
  EXPECT_EQ(next_wipe_piece(GiB(4), milliseconds(3001), GiB(1)), GiB(2));
  EXPECT_EQ(next_wipe_piece(GiB(1), milliseconds(60000), GiB(1)), GiB(1)) << "never less than the least";
  EXPECT_EQ(next_wipe_piece(GiB(4096), milliseconds(0), GiB(1)), GiB(4096)) << "nor more than the most";
}

TEST(Alarm, AtEachStep) {
  auto at = [](std::uint64_t used) { return fill_alarm(Space{GiB(100), GiB(100 - used), {}}); };
  EXPECT_EQ(at(0), 0);
  EXPECT_EQ(at(79), 0);
  EXPECT_EQ(at(80), 80);
  EXPECT_EQ(at(89), 80);
  EXPECT_EQ(at(90), 90);
  EXPECT_EQ(at(95), 95);
  EXPECT_EQ(at(100), 95);
}

}  // namespace
}  // namespace vnvme::model
