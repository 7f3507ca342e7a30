// A target that says yes and does nothing must not be told again and again.
#include <gtest/gtest.h>

#include "support/dpu_fixture.hpp"

namespace vnvme {
namespace {
using namespace test;

TEST(Converge, AStepThatShowsNoEffectIsNotRepeated) {
  DpuOnPeer w(Kind::snap);
  w.mode = DpuOnPeer::Mode::frozen;
  auto subsystem = R"([{"nqn":")" + kNqn + R"(","sn":"VM1","controllers":[],"namespaces":[]}])";
  w.play({{"emulation_function_list", "[]"},
          {"nvme_subsystem_list", subsystem},
          {"nvme_function_create", R"({"vuid":"H1"})"}});
  auto f = w.run<dpu::Function>([&w] { return w.dpu->open_function("VM1", w.soon()); });
  ASSERT_FALSE(f);
  EXPECT_EQ(f.error().code, Errc::conflict);
  EXPECT_EQ(f.error().outcome, Outcome::unknown);
  EXPECT_EQ(w.count("nvme_function_create"), 1u) << "each one more would be a function that nobody knows";
}

TEST(Converge, ARefusedStepThatTurnsOutToBeDoneIsDone) {
  DpuOnPeer w;
  w.play({{"nvmf_get_subsystems", "[]"},
          {"nvmf_create_subsystem", R"(!{"code":-32603,"message":"Unable to create subsystem x"})"},
          {"nvmf_get_subsystems", list({subsystem_text(kNqn, "VM1")})}});
  EXPECT_TRUE(w.run<dpu::Function>([&w] { return w.dpu->open_function("VM1", w.soon()); }))
      << "already-exists is decided by listing";
}

TEST(Converge, ARefusedStepThatIsStillToBeDoneIsTheError) {
  DpuOnPeer w;
  w.play({{"nvmf_get_subsystems", "[]"},
          {"nvmf_create_subsystem", R"(!{"code":-32603,"message":"Unable to create subsystem x"})"},
          {"nvmf_get_subsystems", "[]"}});
  auto f = w.run<dpu::Function>([&w] { return w.dpu->open_function("VM1", w.soon()); });
  ASSERT_FALSE(f);
  EXPECT_EQ(f.error().outcome, Outcome::not_done);
  EXPECT_EQ(w.count("nvmf_create_subsystem"), 1u);
}

TEST(Converge, AFailedExposeSaysThatTheVolumeIsNotThere) {
  DpuOnPeer w;
  auto empty = list({subsystem_text(kNqn, "VM1")});
  w.play({{"nvmf_get_subsystems", empty},
          {"nvmf_subsystem_add_ns", R"(!{"code":-32602,"message":"Invalid parameters"})"},
          {"nvmf_get_subsystems", empty},
          {"bdev_get_bdevs", R"(!{"code":-19,"message":"No such device"})"}});
  dpu::Expose want{FunctionId(kNqn), 1, kVol, kVol};
  EXPECT_EQ(w.run<void>([&] { return w.dpu->expose(want, w.soon()); }).error().code, Errc::not_found);
}

}  // namespace
}  // namespace vnvme
