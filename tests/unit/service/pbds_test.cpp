// PBDs that XAPI could not plug at boot.
#include <gtest/gtest.h>

#include <iostream>

#include "support/rig.hpp"

namespace vnvme::test {
namespace {

using std::chrono::seconds;
constexpr auto kCoarse = std::chrono::milliseconds(250);

class Boot {
 public:
  Boot() {
    rig.with_xapi = true;
    rig.crash();
    rig.boot();
    EXPECT_TRUE(rig.make_sr().value());
    sr = rig.xapi.add_sr(rig.sr);
    rig.advance(seconds(15), kCoarse);
  }
  // The host boots; XAPI is up before vnvmed, and fails to plug the PBD.
  void reboot(bool plugged = false) {
    rig.crash();
    rig.pci.boot += "+";
    rig.xapi.pbd_of(sr).currently_attached = plugged;
    rig.boot();
  }
  bool plugged() { return rig.xapi.pbd_of(sr).currently_attached; }
  std::size_t told(const std::string& part) {
    std::size_t n = 0;
    for (const auto& e : rig.events.since(0, 4096)) n += e.text.find(part) != std::string::npos ? 1 : 0;
    return n;
  }
  Rig rig;
  xapi::Ref sr;
};

TEST(Pbds, WhatTheBootLeftUnpluggedIsPluggedOnce) {
  Boot b;
  b.reboot();
  b.rig.advance(seconds(20));
  EXPECT_EQ(b.rig.xapi.plugs, 0u) << "XAPI is given time to do it itself";
  b.rig.advance(seconds(60));
  EXPECT_TRUE(b.plugged());
  EXPECT_EQ(b.rig.xapi.plugs, 1u);
  EXPECT_EQ(b.told("it is now"), 1u);
  // Somebody unplugs it: that is how they want it, also after a restart of the daemon.
  b.rig.xapi.pbd_of(b.sr).currently_attached = false;
  b.rig.advance(seconds(120));
  b.rig.crash();
  b.rig.boot();
  b.rig.advance(seconds(120));
  EXPECT_FALSE(b.plugged());
  EXPECT_EQ(b.rig.xapi.plugs, 1u);
}

TEST(Pbds, OthersPbdsAreLeftAlone) {
  Boot b;
  auto foreign = b.rig.xapi.add_sr(SrId("22222222-2222-3333-4444-666666666666"));
  b.rig.xapi.db.srs.at(foreign).type = "lvm";
  b.rig.xapi.pbd_of(foreign).currently_attached = false;
  auto elsewhere = b.rig.xapi.add_sr(SrId("33333333-2222-3333-4444-777777777777"));
  b.rig.xapi.pbd_of(elsewhere).host = xapi::Ref("OpaqueRef:another host");
  b.rig.xapi.pbd_of(elsewhere).currently_attached = false;
  b.reboot(true);
  b.rig.advance(seconds(120));
  EXPECT_EQ(b.rig.xapi.plugs, 0u);
}

TEST(Pbds, ARefusalIsSaidAndTriedAgainAndGivenUp) {
  Boot b;
  b.rig.xapi.refuse_plugs = true;
  b.reboot();
  b.rig.advance(seconds(200), kCoarse);
  EXPECT_GE(b.rig.xapi.plugs, 3u);
  EXPECT_EQ(b.told("vnvmed tries again"), 1u);
  b.rig.advance(seconds(1200), kCoarse);
  EXPECT_EQ(b.rig.xapi.plugs, 20u);
  EXPECT_EQ(b.told("xe pbd-plug"), 1u);
}

TEST(Pbds, EachStepMayFailOrBeTheDaemonsLast) {
  std::size_t cases = 0;
  for (FaultKind kind :
       {FaultKind::error, FaultKind::lost_after, FaultKind::crash_before, FaultKind::crash_after})
    for (std::size_t step = 0; step < 100; ++step) {
      Boot b;
      b.reboot();
      b.rig.advance(seconds(29), kCoarse);  // now it comes
      b.rig.plan.arm(step, {kind, Errc::io});
      b.rig.advance(seconds(5));
      bool hit = b.rig.plan.hit();
      std::string where = b.rig.plan.where();
      b.rig.plan.disarm();
      if (!hit) break;
      ++cases;
      if (!b.rig.services) b.rig.boot();
      b.rig.advance(seconds(80), kCoarse);
      EXPECT_TRUE(b.plugged()) << where;
      EXPECT_EQ(b.rig.memory.contents().notes["pbds.boot"], b.rig.pci.boot) << where;
      if (::testing::Test::HasFailure()) return;
    }
  std::cout << cases << " cases\n";
  EXPECT_GT(cases, 10u);
}

}  // namespace
}  // namespace vnvme::test
