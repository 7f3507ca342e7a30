// Functions that wait for VMs: made, taken, made anew, given up, brought back;
// with every step failing.
#include <gtest/gtest.h>

#include <iostream>

#include "model/names.hpp"
#include "model/pci_list.hpp"
#include "support/rig.hpp"

namespace vnvme::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class Stock {
 public:
  explicit Stock(std::size_t spares = 2) {
    rig.with_xapi = true;
    rig.spare_functions = spares;
    rig.crash();
    rig.boot();
    EXPECT_TRUE(rig.make_sr().value());
    auto v = rig.create("v", GiB(1)).value();
    EXPECT_TRUE(v);
    volume = v->key;
    sr = rig.xapi.add_sr(rig.sr);
    vdi = rig.xapi.add_vdi(sr, volume);
    vm = rig.xapi.add_vm(rig.vm);
    settle();
  }
  void restart() {
    rig.crash();
    rig.boot();
    settle();
  }
  void settle() {
    if (!rig.services) rig.boot();
    rig.advance(seconds(25), milliseconds(250));
  }
  std::map<std::string, ReservationRecord> records(bool spare) {  // by serial
    std::map<std::string, ReservationRecord> out;
    for (const auto& r : rig.memory.contents().reservations)
      if (model::is_spare(r.vm) == spare) out[r.serial] = r;
    return out;
  }
  // Serials of the spares that are open, bound, and empty.
  std::set<std::string> ready() {
    std::set<std::string> out;
    for (const auto& [serial, r] : records(true)) {
      auto f = rig.card.functions.find(r.function.value);
      if (f == rig.card.functions.end() || f->second.serial != serial || !f->second.ready) continue;
      EXPECT_EQ(rig.pci.drivers[f->second.bdf], "pciback") << "dom0's driver never sees a guest's namespace";
      out.insert(serial);
    }
    return out;
  }
  std::string bdf(const VmId& of) {
    for (const auto& [serial, r] : records(false))
      if (r.vm == of) return rig.card.functions[r.function.value].bdf;
    return "";
  }
  std::size_t open_functions() {
    std::size_t n = 0;
    for (const auto& [id, f] : rig.card.functions)
      n += f.serial.empty() || f.serial == model::kDom0Serial ? 0 : 1;
    return n;
  }
  std::size_t told(const std::string& part) {
    std::size_t n = 0;
    for (const auto& e : rig.events.since(0, 4096)) n += e.text.find(part) != std::string::npos ? 1 : 0;
    return n;
  }

  Rig rig;
  VolumeId volume;
  xapi::Ref sr, vdi, vm, vbd;
};

TEST(Spares, AreReadyBeforeAnybodyAsks) {
  Stock s;
  auto first = s.ready();
  EXPECT_EQ(first.size(), 2u);
  s.restart();
  EXPECT_EQ(s.ready(), first) << "a new daemon finds them again";
  EXPECT_EQ(s.open_functions(), 2u);
  s.rig.check("two spares");
}

TEST(Spares, AVmTakesOneAndThereIsAnother) {
  Stock s;
  auto before = s.ready();
  s.rig.xapi.add_vbd(s.vm, s.vdi);
  s.rig.advance(milliseconds(50));
  ASSERT_FALSE(s.bdf(s.rig.vm).empty());
  EXPECT_EQ(s.rig.xapi.pci(s.vm), "0/" + s.bdf(s.rig.vm));
  auto mine = s.records(false);
  ASSERT_EQ(mine.size(), 1u);
  EXPECT_TRUE(before.contains(mine.begin()->first)) << "no new function was made for it";
  s.settle();
  auto after = s.ready();
  EXPECT_EQ(after.size(), 2u);
  EXPECT_FALSE(after.contains(mine.begin()->first));
  s.rig.domains.running[17] = s.rig.vm;
  ASSERT_TRUE(s.rig.attach(s.volume, "17").value());
  s.rig.check("a VM and two spares");
}

TEST(Spares, TwoVmsNeverTakeTheSame) {
  Stock s(1);
  auto second = VmId("aaaaaaaa-0000-0000-0000-000000000002");
  s.rig.xapi.add_vm(second);
  for (int both = 0; both < 2; ++both)
    boost::asio::co_spawn(
        *s.rig.io,
        [&s, vm = both == 0 ? s.rig.vm : second]() -> Task<void> {
          nlohmann::json args{{"vm", vm.value}};
          (void)co_await s.rig.services->admin("reserve", std::move(args), Deadline::after(seconds(30)));
        },
        boost::asio::detached);
  s.settle();
  auto taken = s.records(false);
  ASSERT_EQ(taken.size(), 2u);
  EXPECT_NE(s.bdf(s.rig.vm), s.bdf(second));
  EXPECT_EQ(s.ready().size(), 1u);
}

TEST(Spares, NoVmMayNameOne) {
  Stock s;
  std::string free = s.rig.card.functions[s.records(true).begin()->second.function.value].bdf;
  s.rig.xapi.vm(s.vm).other_config["pci"] = "0/0000:01:00.0,1/" + free;
  s.settle();
  EXPECT_EQ(s.rig.xapi.pci(s.vm), "0/0000:01:00.0");
  EXPECT_EQ(s.ready().size(), 2u);
}

TEST(Spares, ComeBackAfterTheDpuLostThem) {
  for (bool whole : {false, true}) {
    Stock s;
    auto before = s.ready();
    s.rig.card.power(false);
    s.rig.advance(seconds(5));
    s.rig.card.restart(whole);
    s.rig.card.power(true);
    s.settle();
    EXPECT_EQ(s.ready(), before) << whole;
    EXPECT_EQ(s.open_functions(), 2u);
  }
}

TEST(Spares, AreThereAsSoonAsTheDpuIs) {
  Stock s;
  auto before = s.ready();
  s.rig.crash();
  s.rig.card.restart(true);
  s.rig.card.power(false);
  s.rig.boot();
  s.rig.advance(milliseconds(500));
  s.rig.card.power(true);
  s.rig.advance(seconds(7), milliseconds(250));  // 5 s at most until it is asked again
  EXPECT_EQ(s.ready(), before) << "a VM that is made right after a boot would wait for its function";
}

TEST(Spares, AreFewerWhenTheConfigurationSaysSo) {
  Stock s;
  s.rig.spare_functions = 1;
  s.restart();
  EXPECT_EQ(s.ready().size(), 1u);
  s.rig.spare_functions = 0;
  s.restart();
  EXPECT_EQ(s.open_functions(), 0u);
  EXPECT_TRUE(s.records(true).empty());
}

TEST(Spares, WhatAVmTookMeanwhileIsNotClosed) {
  Stock s(3);
  s.rig.spare_functions = 0;
  s.rig.crash();
  s.rig.card.power(false);
  s.rig.boot();
  {
    // The first of three waits for its turn to be closed, and a VM takes another one.
    auto& link = *s.rig.services->core().links().begin()->second;
    auto lane = link.functions_lane().try_acquire("the test");
    ASSERT_TRUE(lane);
    s.rig.card.power(true);
    s.rig.advance(seconds(12));
    s.rig.xapi.add_vbd(s.vm, s.vdi);
    s.rig.advance(seconds(2));
    ASSERT_FALSE(s.bdf(s.rig.vm).empty());
  }
  s.settle();
  auto mine = s.records(false);
  ASSERT_EQ(mine.size(), 1u);
  const auto& function = s.rig.card.functions[mine.begin()->second.function.value];
  EXPECT_TRUE(function.ready) << "a VM's function was closed as a spare";
  EXPECT_EQ(function.serial, mine.begin()->first);
  EXPECT_TRUE(s.records(true).empty());
  EXPECT_EQ(s.open_functions(), 1u);
}

TEST(Spares, GiveWayToDom0) {
  for (bool half : {false, true}) {
    SCOPED_TRACE(half ? "half made" : "refused at once");
    Stock s(0);
    s.rig.card.half_made_when_full = half;
    s.rig.card.functions.clear();  // dom0 has none, as after a reboot of the card
    s.rig.spare_functions = 8;
    s.restart();
    EXPECT_EQ(s.ready().size(), 8u) << "the card is full";
    ASSERT_TRUE(s.rig.attach(s.volume, "0").value());
    s.settle();
    EXPECT_EQ(s.ready().size(), 7u);
    EXPECT_EQ(s.told("fewer spare functions"), 1u);
    EXPECT_TRUE(s.rig.release(s.volume, "0").value());
  }
}

TEST(Spares, AFullCardIsSaidOnceAndTriedAgain) {
  Stock s(0);
  s.rig.card.most_functions = 2;  // one is dom0's
  s.rig.spare_functions = 2;
  s.restart();
  s.rig.advance(seconds(300));
  EXPECT_EQ(s.ready().size(), 1u);
  EXPECT_EQ(s.told("fewer spare functions"), 1u);
  EXPECT_EQ(s.records(true).size(), 1u) << "what was refused leaves no record";
  s.rig.card.most_functions = 8;
  s.settle();
  EXPECT_EQ(s.ready().size(), 2u);
}

TEST(Spares, AreNotMadeWhereFunctionsAreReservedByHand) {
  Rig rig;
  rig.spare_functions = 2;
  rig.crash();
  rig.boot();
  rig.advance(seconds(90));
  EXPECT_TRUE(rig.memory.contents().reservations.empty());
}

// Each step fails once in each way, or the daemon dies around it; in the end the VM has a function, there are
// two spares, and nothing more is open.
bool one_case(std::size_t step, const Fault& fault, bool making) {
  Stock s(making ? 0 : 2);
  s.rig.plan.arm(step, fault);
  if (making) {
    s.rig.spare_functions = 2;
    s.rig.crash();
    s.rig.boot();
  } else {
    s.rig.xapi.add_vbd(s.vm, s.vdi);
  }
  s.rig.advance(seconds(3));
  bool hit = s.rig.plan.hit();
  std::string where = (making ? "make" : "take") + std::string(", step ") + std::to_string(step) + " (" +
                      s.rig.plan.where() + ") fault " + std::to_string(static_cast<int>(fault.kind));
  s.rig.plan.disarm();
  if (!hit) return false;
  if (!s.rig.services) s.rig.boot();
  s.rig.advance(seconds(1));
  for (auto& effect : s.rig.plan.late) effect();
  s.rig.plan.late.clear();
  s.settle();
  s.settle();
  EXPECT_EQ(s.ready().size(), 2u) << where;
  EXPECT_EQ(s.records(true).size(), 2u) << where;
  EXPECT_EQ(s.open_functions(), making ? 2u : 3u) << where;
  if (!making) {
    EXPECT_FALSE(s.bdf(s.rig.vm).empty()) << where;
    EXPECT_EQ(s.rig.xapi.pci(s.vm), "0/" + s.bdf(s.rig.vm)) << where;
  }
  for (const auto& [vm, value] : s.rig.xapi.pci_history) EXPECT_EQ(vm, s.rig.vm.value) << where << value;
  s.rig.check(where);
  return true;
}

TEST(SparesEveryStep, FailsOnceAndAllAgreeInTheEnd) {
  std::size_t cases = 0;
  for (bool making : {true, false})
    for (FaultKind kind :
         {FaultKind::error, FaultKind::lost_before, FaultKind::lost_after, FaultKind::crash_before,
          FaultKind::crash_after, FaultKind::lost_late, FaultKind::crash_late})
      for (std::size_t step = 0; step < 200 && one_case(step, {kind, Errc::io}, making); ++step) {
        ++cases;
        if (HasFailure()) return;
      }
  std::cout << cases << " cases\n";
  EXPECT_GT(cases, 150u);
}

}  // namespace
}  // namespace vnvme::test
