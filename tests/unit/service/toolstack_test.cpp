// VMs get their functions by themselves: from the VBD in XAPI to the list of
// PCI functions that XAPI reads at VM.start, and back; with every step failing.
#include <gtest/gtest.h>

#include <iostream>

#include "model/names.hpp"
#include "model/pci_list.hpp"
#include "support/rig.hpp"

namespace vnvme::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class World {
 public:
  World() {
    rig.with_xapi = true;
    rig.crash();
    rig.boot();
    EXPECT_TRUE(rig.make_sr().value());
    auto v = rig.create("v", GiB(1)).value();
    EXPECT_TRUE(v);
    volume = v->key;
    sr = rig.xapi.add_sr(rig.sr);
    vdi = rig.xapi.add_vdi(sr, volume);
    vm = rig.xapi.add_vm(rig.vm);
  }
  void plug() { vbd = rig.xapi.add_vbd(vm, vdi); }
  std::string bdf() {
    for (const auto& [id, f] : rig.card.functions)
      if (f.serial == model::serial_of_vm(rig.vm)) return f.bdf;
    return "";
  }
  const ReservationRecord* reserved() {
    for (const auto& [key, r] : rig.services->core().world.reservations())
      if (r.vm == rig.vm) return &r;
    return nullptr;
  }
  void settle() {
    if (!rig.services) rig.boot();
    rig.advance(seconds(30), milliseconds(250));
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

TEST(Toolstack, AVbdIsEnoughForTheVmToStart) {
  World w;
  w.plug();
  w.rig.advance(milliseconds(500));
  ASSERT_NE(w.reserved(), nullptr);
  ASSERT_FALSE(w.bdf().empty());
  EXPECT_EQ(w.rig.xapi.pci(w.vm), "0/" + w.bdf());
  EXPECT_EQ(w.rig.pci.drivers[w.bdf()], "pciback") << "dom0's driver never sees a guest's namespace";
  EXPECT_TRUE(w.rig.xapi.db.vms.at(w.vm).blocked_operations.contains("suspend"));
  w.rig.domains.running[17] = w.rig.vm;
  ASSERT_TRUE(w.rig.attach(w.volume, "17").value());
  w.rig.advance(seconds(12));
  EXPECT_TRUE(w.rig.xapi.db.vms.at(w.vm).blocked_operations.contains("migrate_send"));
  auto writes = w.rig.xapi.writes;
  w.rig.advance(seconds(60));
  EXPECT_EQ(w.rig.xapi.writes, writes) << "what is right is left alone";
}

TEST(Toolstack, TheLastVbdTakesTheFunctionWithIt) {
  World w;
  w.plug();
  w.settle();
  w.rig.xapi.remove_vbd(w.vbd);
  w.settle();
  EXPECT_EQ(w.reserved(), nullptr);
  EXPECT_EQ(w.rig.xapi.pci(w.vm), "");
  EXPECT_TRUE(w.rig.xapi.db.vms.at(w.vm).blocked_operations.empty());
  EXPECT_TRUE(w.bdf().empty()) << "the function is closed";
}

TEST(Toolstack, NoListNamesAFunctionThatIsClosed) {
  World w;
  w.plug();
  w.settle();
  // The key cannot be written: then the function stays.
  w.rig.xapi.refuse_writes = true;
  w.rig.xapi.remove_vbd(w.vbd);
  w.settle();
  EXPECT_NE(w.reserved(), nullptr);
  EXPECT_FALSE(w.bdf().empty());
  // It can, but the VM has begun to start meanwhile.
  w.rig.xapi.refuse_writes = false;
  w.rig.xapi.started_behind = true;
  w.settle();
  EXPECT_NE(w.reserved(), nullptr);
  w.rig.xapi.started_behind = false;
  w.settle();
  EXPECT_EQ(w.reserved(), nullptr);
  EXPECT_EQ(w.rig.xapi.pci(w.vm), "");
}

TEST(Toolstack, AVmThatIsGoneKeepsNothingUnlessItsDomainLives) {
  World w;
  w.plug();
  w.settle();
  w.rig.domains.running[17] = w.rig.vm;
  w.rig.xapi.remove_vm(w.vm);
  w.settle();
  EXPECT_NE(w.reserved(), nullptr);
  w.rig.domains.running.clear();
  w.settle();
  EXPECT_EQ(w.reserved(), nullptr);
}

TEST(Toolstack, AReservationByHandStays) {
  World w;
  ASSERT_TRUE(w.rig.reserve(w.rig.vm).value());
  w.settle();
  ASSERT_NE(w.reserved(), nullptr);
  EXPECT_EQ(w.rig.xapi.pci(w.vm), "0/" + w.bdf());
  auto back = w.rig.run<Result<nlohmann::json>>([&w] {
    return w.rig.services->admin("unreserve", nlohmann::json{{"vm", w.rig.vm.value}},
                                 Deadline::after(seconds(30)));
  });
  EXPECT_TRUE(*back);
  w.settle();
  EXPECT_EQ(w.rig.xapi.pci(w.vm), "");
  for (const auto& [key, value] : w.rig.services->core().world.notes())
    EXPECT_FALSE(key.starts_with("reserved-by-hand")) << key;
}

TEST(Toolstack, ACloneNeverKeepsItsSourcesFunction) {
  World w;
  w.plug();
  w.settle();
  auto clone = w.rig.xapi.add_vm(VmId("aaaaaaaa-0000-0000-0000-000000000002"));
  w.rig.xapi.vm(clone).other_config["pci"] = "0/0000:01:00.0,1/" + w.bdf();
  w.rig.advance(milliseconds(300));
  EXPECT_EQ(w.rig.xapi.pci(clone), "0/0000:01:00.0") << "the foreign one stays";
  EXPECT_EQ(w.rig.xapi.pci(w.vm), "0/" + w.bdf());
  EXPECT_EQ(w.told("is not reserved for VM"), 1u);
}

TEST(Toolstack, NeverFightsMoreThanOnceASecondAndSaysSo) {
  World w;
  w.plug();
  w.settle();
  w.rig.xapi.pci_history.clear();
  for (int i = 0; i < 400; ++i) {  // 20 s in which another tool writes at once whatever we wrote
    if (w.rig.xapi.pci(w.vm) != "0/0000:01:00.0") w.rig.xapi.vm(w.vm).other_config["pci"] = "0/0000:01:00.0";
    w.rig.advance(milliseconds(50));
  }
  EXPECT_LE(w.rig.xapi.pci_history.size(), 21u);
  EXPECT_GE(w.rig.xapi.pci_history.size(), 5u);
  EXPECT_EQ(w.told("keeps rewriting"), 1u);
  w.settle();
  EXPECT_EQ(w.rig.xapi.pci(w.vm), "0/0000:01:00.0,1/" + w.bdf());
}

TEST(Toolstack, OwnChangesAreNoFight) {
  World w;
  for (int n = 0; n < 8; ++n) {
    w.plug();
    w.rig.advance(seconds(2), milliseconds(100));
    ASSERT_FALSE(w.rig.xapi.pci(w.vm).empty()) << n;
    w.rig.xapi.remove_vbd(w.vbd);
    w.rig.advance(seconds(2), milliseconds(100));
    ASSERT_TRUE(w.rig.xapi.pci(w.vm).empty()) << n;
  }
  EXPECT_EQ(w.told("keeps rewriting"), 0u) << "nobody undid anything";
}

TEST(Toolstack, MovesAVbdThatQemuWouldEmulate) {
  World w;
  auto vbd = w.rig.xapi.add_vbd(w.vm, w.vdi, "0");
  w.settle();
  EXPECT_EQ(w.rig.xapi.db.vbds.at(vbd).userdevice, "4");
}

TEST(Toolstack, SaysOnceWhyThereIsNoFunction) {
  World w;
  w.rig.card.most_functions = 0;
  w.rig.card.functions.clear();
  w.plug();
  w.settle();
  EXPECT_EQ(w.told("no function could be reserved"), 1u);
  EXPECT_EQ(w.rig.xapi.pci(w.vm), "");
  w.rig.card.most_functions = 8;
  w.settle();
  EXPECT_EQ(w.rig.xapi.pci(w.vm), "0/" + w.bdf());
}

TEST(Toolstack, AFullCardNamesThoseWhoHoldItsFunctions) {
  World w;
  w.rig.card.most_functions = 2;  // one is dom0's
  w.plug();
  w.settle();
  ASSERT_NE(w.bdf(), "");
  const VmId late("aaaaaaaa-0000-0000-0000-000000000002");
  auto other = w.rig.xapi.add_vm(late);
  auto vbd = w.rig.xapi.add_vbd(other, w.vdi);
  w.settle();
  EXPECT_EQ(w.told("functions are held by VM " + w.rig.vm.value + ": take"), 1u);
  w.rig.domains.running[18] = late;
  auto attached = w.rig.attach(w.volume, "18").value();
  EXPECT_EQ(attached.error().code, Errc::not_permitted);
  EXPECT_NE(attached.error().text.find("`vnvme events` says why"), std::string::npos)
      << attached.error().text << ": `vnvme reserve` would not help where vnvmed does it by itself";
  w.rig.domains.running.clear();
  w.rig.xapi.remove_vbd(w.vbd);
  w.settle();
  EXPECT_NE(w.rig.xapi.pci(other), "") << "the one that came free";
}

TEST(Toolstack, XapiAndTheDpuMayBeAway) {
  World w;
  w.rig.xapi.up = false;
  w.plug();
  w.settle();
  EXPECT_EQ(w.reserved(), nullptr);
  w.rig.card.power(false);
  w.rig.xapi.up = true;
  w.settle();
  EXPECT_EQ(w.rig.xapi.pci(w.vm), "");
  w.rig.card.power(true);
  w.settle();
  ASSERT_FALSE(w.bdf().empty());
  EXPECT_EQ(w.rig.xapi.pci(w.vm), "0/" + w.bdf());
  w.rig.card.power(false);
  w.rig.xapi.touch();
  w.settle();
  EXPECT_EQ(w.rig.xapi.pci(w.vm), "0/" + w.bdf()) << "a DPU that is away takes nothing from a VM";
}

// Each step fails once in each way, or the daemon dies around it; then all must agree in the end, and at no
// moment may a VM have had a function that was not reserved for it.
void check_lists(World& w, const std::string& where) {
  for (const auto& [vm, value] : w.rig.xapi.pci_history)
    for (const std::string& bdf : model::parse_pci_list(value).bdfs)
      EXPECT_TRUE(vm == w.rig.vm.value || bdf == "0000:01:00.0") << where << ": " << vm << " got " << bdf;
}

bool one_case(std::size_t step, const Fault& fault, bool gone) {
  World w;
  auto clone = w.rig.xapi.add_vm(VmId("aaaaaaaa-0000-0000-0000-000000000002"));
  if (gone) {
    w.plug();
    w.settle();
    w.rig.xapi.vm(clone).other_config["pci"] = "0/" + w.bdf();
  }
  w.rig.plan.arm(step, fault);
  if (gone)
    w.rig.xapi.remove_vbd(w.vbd);
  else
    w.plug();
  w.rig.advance(seconds(3));
  bool hit = w.rig.plan.hit();
  std::string where = (gone ? "release" : "reserve") + std::string(", step ") + std::to_string(step) + " (" +
                      w.rig.plan.where() + ") fault " + std::to_string(static_cast<int>(fault.kind));
  w.rig.plan.disarm();
  if (!hit) return false;
  if (!w.rig.services) w.rig.boot();
  w.rig.advance(seconds(1));
  for (auto& effect : w.rig.plan.late) effect();
  w.rig.plan.late.clear();
  w.settle();
  w.settle();
  check_lists(w, where);
  EXPECT_EQ(w.rig.xapi.pci(clone), "") << where;
  if (gone) {
    EXPECT_EQ(w.reserved(), nullptr) << where;
    EXPECT_EQ(w.rig.xapi.pci(w.vm), "") << where;
  } else {
    EXPECT_NE(w.reserved(), nullptr) << where;
    EXPECT_EQ(w.rig.xapi.pci(w.vm), "0/" + w.bdf()) << where;
    EXPECT_FALSE(w.bdf().empty()) << where;
  }
  w.rig.check(where);
  return true;
}

TEST(ToolstackEveryStep, FailsOnceAndAllAgreeInTheEnd) {
  std::size_t cases = 0;
  for (bool gone : {false, true})
    for (FaultKind kind :
         {FaultKind::error, FaultKind::lost_before, FaultKind::lost_after, FaultKind::crash_before,
          FaultKind::crash_after, FaultKind::lost_late, FaultKind::crash_late})
      for (std::size_t step = 0; step < 200 && one_case(step, {kind, Errc::io}, gone); ++step) {
        ++cases;
        if (HasFailure()) return;
      }
  std::cout << cases << " cases\n";
  EXPECT_GT(cases, 150u);
}

}  // namespace
}  // namespace vnvme::test
