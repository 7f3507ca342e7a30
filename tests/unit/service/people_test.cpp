// What people see in XAPI: keys in other_config, and messages; with every call to XAPI, every commit and
// every read of the DPU failing, lost, or the last thing that the daemon did.
#include <gtest/gtest.h>

#include <iostream>

#include "model/names.hpp"
#include "support/rig.hpp"

namespace vnvme::test {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

class People {
 public:
  explicit People(const std::string& key = {}, const std::string& value = {}) {
    rig.with_xapi = true;
    rig.crash();
    rig.boot();
    auto made = rig.make_sr(key, value);
    EXPECT_TRUE(made.value());
    auto v = rig.create("v", GiB(1)).value();
    EXPECT_TRUE(v);
    volume = v->key;
    sr = rig.xapi.add_sr(rig.sr);
    vdi = rig.xapi.add_vdi(sr, volume);
    vm = rig.xapi.add_vm(rig.vm);
  }
  void plug() { vbd = rig.xapi.add_vbd(vm, vdi); }
  void start() {
    rig.domains.running[17] = rig.vm;
    (void)rig.attach(volume, "17");
    if (rig.services) (void)rig.activate(volume, "17");
  }
  void end() {
    rig.domains.running.clear();
    if (rig.services) (void)rig.release(volume, "17");
  }
  void settle(MonoClock::duration how_long = seconds(40)) {
    if (!rig.services) rig.boot();
    rig.advance(how_long, std::chrono::milliseconds(250));
  }
  std::string of_vdi(const std::string& key) { return value(rig.xapi.db.vdis.at(vdi).other_config, key); }
  std::string of_vm(const std::string& key) { return value(rig.xapi.db.vms.at(vm).other_config, key); }
  std::size_t told(const std::string& name) {
    std::size_t n = 0;
    for (const auto& m : rig.xapi.messages) n += m.name == name ? 1 : 0;
    return n;
  }
  // Notes of messages in the store.
  std::size_t notes() {
    std::size_t n = 0;
    for (const auto& [key, text] : rig.memory.contents().notes) n += key.starts_with("message.") ? 1 : 0;
    return n;
  }
  void full(int percent) {
    for (auto& [id, pool] : rig.card.pools) pool.free = Bytes{pool.total.value / 100 * (100 - percent)};
  }

  Rig rig;
  VolumeId volume;
  xapi::Ref sr, vdi, vm, vbd;

 private:
  static std::string value(const xapi::Map& map, const std::string& key) {
    auto at = map.find(key);
    return at == map.end() ? "" : at->second;
  }
};

TEST(Published, FollowsADriveThroughItsLife) {
  People p;
  p.settle();
  EXPECT_TRUE(p.rig.xapi.db.vms.at(p.vm).other_config.empty());
  p.plug();
  p.settle();
  EXPECT_EQ(p.of_vm("vnvme-state"), "reserved");
  EXPECT_EQ(p.of_vm("vnvme-serial"), model::serial_of_vm(p.rig.vm));
  EXPECT_EQ("0/" + p.of_vm("vnvme-functions"), p.rig.xapi.pci(p.vm));
  EXPECT_EQ(p.of_vdi("vnvme-state"), "");
  p.start();
  p.settle();
  EXPECT_EQ(p.of_vm("vnvme-state"), "attached");
  EXPECT_EQ(p.of_vdi("vnvme-state"), "active");
  EXPECT_EQ(p.of_vdi("vnvme-serial"), model::serial_of_vm(p.rig.vm));
  EXPECT_EQ(p.of_vdi("vnvme-bdf"), p.of_vm("vnvme-functions"));
  auto writes = p.rig.xapi.writes;
  p.settle(minutes(5));
  EXPECT_EQ(p.rig.xapi.writes, writes) << "what is right is left alone";
  p.end();
  p.settle();
  EXPECT_TRUE(p.rig.xapi.db.vdis.at(p.vdi).other_config.empty());
  EXPECT_EQ(p.of_vm("vnvme-state"), "reserved");
  p.rig.xapi.remove_vbd(p.vbd);
  p.settle();
  EXPECT_TRUE(p.rig.xapi.db.vms.at(p.vm).other_config.empty());
  EXPECT_TRUE(p.rig.xapi.messages.empty());
}

TEST(Published, IsNotFoughtOver) {
  People p;
  p.plug();
  p.settle();
  std::size_t taken = 0;
  for (int i = 0; i < 20 * 600; ++i) {  // ten minutes in which another tool removes it at once
    if (p.of_vm("vnvme-serial") != "") ++taken, p.rig.xapi.vm(p.vm).other_config.erase("vnvme-serial");
    p.rig.advance(std::chrono::milliseconds(50));
  }
  EXPECT_GE(taken, 4u);
  EXPECT_LE(taken, 12u);
  p.settle(minutes(10));
  EXPECT_EQ(p.of_vm("vnvme-serial"), model::serial_of_vm(p.rig.vm)) << "the last word, when they let go";
}

TEST(Published, XapiMayBeAway) {
  People p;
  p.plug();
  p.settle();
  p.rig.xapi.refuse_writes = true;
  p.start();
  p.settle();
  EXPECT_EQ(p.of_vdi("vnvme-state"), "");
  p.rig.xapi.refuse_writes = false;
  p.settle();
  EXPECT_EQ(p.of_vdi("vnvme-state"), "active");
}

TEST(Messages, ALostDpuIsToldOnceThoughTheDaemonRestarts) {
  People p;
  p.settle();
  p.rig.card.power(false);
  p.settle(minutes(10));
  EXPECT_EQ(p.told("VNVME_DPU_LOST"), 1u);
  ASSERT_EQ(p.rig.xapi.messages.size(), 1u);
  EXPECT_EQ(p.rig.xapi.messages[0].cls, xapi::Class::host);
  EXPECT_EQ(p.rig.xapi.messages[0].uuid, p.rig.xapi.db.hosts.begin()->second.uuid);
  EXPECT_NE(p.rig.xapi.messages[0].body.find("dpu0"), std::string::npos) << p.rig.xapi.messages[0].body;
  p.rig.crash();
  p.settle(minutes(10));
  EXPECT_EQ(p.told("VNVME_DPU_LOST"), 1u);
  p.rig.card.power(true);
  p.settle(minutes(10));
  EXPECT_EQ(p.notes(), 0u);
  p.rig.card.power(false);
  p.settle(minutes(10));
  EXPECT_EQ(p.told("VNVME_DPU_LOST"), 2u) << "another occurrence";
}

TEST(Messages, AShortInterruptionIsNone) {
  People p;
  p.settle();
  for (int i = 0; i < 5; ++i) {
    p.rig.card.power(false);
    p.settle(seconds(40));
    p.rig.card.power(true);
    p.settle(minutes(10));
  }
  EXPECT_TRUE(p.rig.xapi.messages.empty());
}

TEST(Messages, APoolThatFillsIsToldAtEachLevelOnce) {
  People p;
  std::vector<std::size_t> told;
  for (int percent : {70, 81, 79, 82, 91, 88, 92, 96, 60, 83}) {
    p.full(percent);
    p.settle(minutes(15));
    told.push_back(p.told("VNVME_POOL_NEARLY_FULL"));
  }
  EXPECT_EQ(told, (std::vector<std::size_t>{0, 1, 1, 1, 2, 2, 2, 3, 3, 4}));
  EXPECT_EQ(p.rig.xapi.messages[0].cls, xapi::Class::sr);
  EXPECT_EQ(p.rig.xapi.messages[0].uuid, p.rig.sr.value);
}

TEST(Messages, AnSrWhosePoolOrVolumeIsGone) {
  People p;
  p.settle();
  auto pool = *p.rig.card.pools.begin();
  p.rig.card.pools.clear();
  p.settle(minutes(5));
  EXPECT_EQ(p.told("VNVME_POOL_MISSING"), 1u);
  p.rig.card.pools.insert(pool);
  p.settle(minutes(10));
  auto lvols = p.rig.card.lvols;
  p.rig.card.lvols.clear();
  p.rig.card.power(false);
  p.settle(seconds(5));
  p.rig.card.power(true);
  p.settle(minutes(5));
  EXPECT_EQ(p.told("VNVME_VOLUMES_MISSING"), 1u);
  p.rig.card.lvols = lvols;
}

TEST(Messages, AVmThatCouldGetNoFunction) {
  People p;
  p.rig.card.most_functions = 0;
  p.rig.card.functions.clear();
  p.plug();
  p.settle(minutes(5));
  EXPECT_EQ(p.told("VNVME_NO_FUNCTION"), 1u);
  EXPECT_EQ(p.rig.xapi.messages[0].uuid, p.rig.vm.value);
  EXPECT_EQ(p.of_vm("vnvme-state"), "no-function");
  p.rig.card.most_functions = 8;
  p.settle(minutes(5));
  EXPECT_EQ(p.of_vm("vnvme-state"), "reserved");
  EXPECT_EQ(p.notes(), 0u);
}

TEST(Messages, SomethingThatKeepsRewritingTheList) {
  People p;
  p.plug();
  p.settle();
  for (bool restarted : {false, true}) {
    if (restarted) p.rig.crash();
    p.settle(seconds(1));
    for (int i = 0; i < 600; ++i) {
      if (p.rig.xapi.pci(p.vm) != "0/0000:01:00.0")
        p.rig.xapi.vm(p.vm).other_config["pci"] = "0/0000:01:00.0";
      p.rig.advance(std::chrono::milliseconds(50));
    }
    p.settle();
    EXPECT_EQ(p.told("VNVME_PCI_LIST_REWRITTEN"), 1u);
  }
}

TEST(Messages, LeftoversAreToldTogether) {
  People p;
  p.plug();
  p.settle();
  p.start();
  p.settle();
  ASSERT_EQ(p.rig.card.exposures.size(), 1u);
  for (std::uint32_t nsid : {50u, 51u, 52u}) {
    dpu::Exposure stray = p.rig.card.exposures[0];
    stray.nsid = nsid;
    p.rig.card.exposures.push_back(stray);
    p.settle(minutes(2));
  }
  EXPECT_EQ(p.rig.card.exposures.size(), 1u);
  EXPECT_EQ(p.told("VNVME_LEFTOVER"), 1u);
}

TEST(Messages, WithoutXapiNothingHappens) {
  Rig rig;
  ASSERT_TRUE(rig.make_sr().value());
  rig.card.power(false);
  rig.advance(minutes(10), std::chrono::milliseconds(250));
  EXPECT_TRUE(rig.xapi.messages.empty());
  EXPECT_EQ(rig.xapi.writes, 0u);
  EXPECT_TRUE(rig.memory.contents().notes.empty());
}

TEST(Messages, ARefusalLeavesNoNote) {
  People p;
  p.settle();
  p.rig.xapi.refuse_writes = true;
  p.rig.card.power(false);
  p.settle(minutes(20));
  EXPECT_EQ(p.notes(), 0u);
  p.rig.xapi.refuse_writes = false;
  p.settle(minutes(15));
  EXPECT_EQ(p.told("VNVME_DPU_LOST"), 1u) << "it still stands, and is told";
}

// From the VBD to the running VM and back, in a pool that fills: a step fails once.
bool one_case(std::size_t step, const Fault& fault) {
  People p;
  p.full(85);
  p.settle(seconds(28));  // the next look at the pool is near
  p.rig.plan.arm(step, fault);
  p.plug();
  p.settle(seconds(40));
  bool hit = p.rig.plan.hit();
  std::string where = "step " + std::to_string(step) + " (" + p.rig.plan.where() + ") fault " +
                      std::to_string(static_cast<int>(fault.kind));
  p.rig.plan.disarm();
  if (!hit) return false;
  if (!p.rig.services) p.rig.boot();
  p.rig.advance(seconds(1));
  for (auto& effect : p.rig.plan.late) effect();
  p.rig.plan.late.clear();
  p.rig.xapi.touch();
  p.settle(seconds(100));
  EXPECT_EQ(p.of_vm("vnvme-state"), "reserved") << where;
  EXPECT_EQ("0/" + p.of_vm("vnvme-functions"), p.rig.xapi.pci(p.vm)) << where;
  std::size_t told = p.told("VNVME_POOL_NEARLY_FULL");
  EXPECT_GE(told, 1u) << where;
  EXPECT_LE(told, 2u) << where;
  bool doubtful = fault.kind != FaultKind::error && p.rig.xapi.messages.size() > 1;
  EXPECT_TRUE(told == 1 || doubtful) << where;
  p.start();
  p.settle(seconds(15));
  EXPECT_EQ(p.of_vdi("vnvme-state"), "active") << where;
  p.end();
  p.settle(seconds(25));
  EXPECT_EQ(p.of_vdi("vnvme-state"), "") << where;
  EXPECT_EQ(p.told("VNVME_POOL_NEARLY_FULL"), told) << where << ": told again";
  return true;
}

// Every second step in each way, the even ones in half of the ways, the odd ones in the others.
TEST(PeopleEveryStep, FailsOnceAndPeopleSeeTheTruthInTheEnd) {
  std::size_t cases = 0, first = 0;
  for (FaultKind kind : {FaultKind::error, FaultKind::lost_before, FaultKind::lost_after,
                         FaultKind::crash_before, FaultKind::crash_after, FaultKind::crash_late}) {
    for (std::size_t step = first; step < 200 && one_case(step, {kind, Errc::io}); step += 2) {
      ++cases;
      if (testing::Test::HasFailure()) return;
    }
    first = 1 - first;
  }
  std::cout << cases << " cases\n";
  EXPECT_GT(cases, 60u);
}

}  // namespace
}  // namespace vnvme::test
