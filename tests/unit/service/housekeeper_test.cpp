// What nobody waits for: it is done soon, and nothing is taken for absent too early.
#include <gtest/gtest.h>

#include "support/rig.hpp"

namespace vnvme::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// What comes up while the housekeeper is in the middle of a round, at whatever step, may have been missed by
// the round: it must not wait for the next alarm (10 s).
TEST(Housekeeper, SeesWhatComesUpDuringARound) {
  std::size_t during = 0;
  for (int turns = 0; turns < 90; ++turns) {
    Rig rig;
    ASSERT_TRUE(rig.make_sr().value());
    auto first = rig.create("first", MiB(4)).value(), second = rig.create("second", MiB(4)).value();
    ASSERT_TRUE(first && second);
    ASSERT_TRUE(rig.settle());
    // The round works on this one; one turn of the loop at a time.
    rig.services->core().spawn([&rig, key = first->key]() -> Task<void> {
      auto context = rig.context("Volume.destroy");
      (void)co_await rig.services->volume_destroy(context, rig.sr, key);
    });
    for (int i = 0; i < turns; ++i) {
      rig.io->restart();
      (void)rig.io->poll_one();
    }
    during += rig.lvol(first->key) != nullptr ? 1 : 0;
    ASSERT_TRUE(rig.destroy(second->key).value());
    auto begin = MonoClock::now();
    while (!rig.card.lvols.empty() && MonoClock::now() - begin < seconds(20)) {
      rig.io->restart();
      if (rig.io->poll() == 0) MonoClock::advance(milliseconds(50));
    }
    EXPECT_LT(MonoClock::now() - begin, seconds(2)) << "after " << turns << " turns of a round";
  }
  EXPECT_GT(during, 5u) << "some must come while the round is at work";
}

// A create whose answer is overdue: while the DPU may still be at work on it, nothing there proves nothing.
TEST(Housekeeper, AnOverdueCreateIsNotTakenForAbsent) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  std::size_t points = 0;
  for (std::size_t at = 0;; ++at) {
    rig.card.overdue = true;
    rig.plan.arm(at, {FaultKind::lost_late, Errc::timeout});
    auto made = rig.create("late", MiB(4));
    ASSERT_TRUE(made);
    bool hit = rig.plan.hit();
    rig.plan.disarm();
    if (hit && rig.plan.where().find("create_volume") != std::string::npos) {
      ++points;
      rig.advance(seconds(60));
      EXPECT_FALSE(rig.services->core().world.intents().empty()) << "it was given up too early";
      for (auto& effect : rig.plan.late) effect();
      rig.advance(seconds(60));
      EXPECT_FALSE(rig.services->core().world.intents().empty());
    }
    rig.plan.late.clear();
    rig.card.overdue = false;
    rig.advance(seconds(60));
    ASSERT_TRUE(rig.settle());
    rig.check("step " + std::to_string(at) + ", " + rig.plan.where());
    if (!hit) break;
  }
  EXPECT_EQ(points, 1u);
}

// A function has few numbers (SPDK: 32), and dom0 sees every volume once in a while: a backup, an export.
TEST(Housekeeper, NumbersOfNamespacesAreFreed) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  rig.domains.running[7] = rig.vm;
  ASSERT_TRUE(rig.reserve(rig.vm).value());
  std::vector<VolumeId> all;
  for (int i = 0; i < 3; ++i) {
    auto v = rig.create("v", MiB(4)).value();
    ASSERT_TRUE(v);
    all.push_back(v->key);
    ASSERT_TRUE(rig.attach(v->key, "u0_backup").value());
    ASSERT_EQ(rig.card.exposures.size(), 1u);
    EXPECT_EQ(rig.card.exposures.front().nsid, 1u) << "the number of the one before is free again";
    ASSERT_TRUE(rig.release(v->key, "u0_backup").value());
    ASSERT_TRUE(rig.settle());
  }
  for (const auto& key : all) ASSERT_TRUE(rig.attach(key, "7").value());
  rig.domains.running.clear();
  for (const auto& key : all) ASSERT_TRUE(rig.release(key, "7").value());
  ASSERT_TRUE(rig.settle());
  EXPECT_EQ(rig.memory.contents().nsids.size(), 3u) << "a VM's disks keep theirs";
  for (const auto& key : all) ASSERT_TRUE(rig.destroy(key).value());
  ASSERT_TRUE(rig.settle());
  EXPECT_TRUE(rig.memory.contents().nsids.empty());
  rig.check("in the end");
}

}  // namespace
}  // namespace vnvme::test
