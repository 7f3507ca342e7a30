// What the vm-pre-start hook is told: after each thing that vnvmed learns, and when it cannot be told (I4).
#include "service/reservation_file.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "service/reservation_taps.hpp"
#include "support/rig.hpp"

namespace vnvme::service {
namespace {

namespace fs = std::filesystem;
using gate::Why;

const VmId kVm("aaaaaaaa-0000-4000-8000-000000000001"), kOther("bbbbbbbb-0000-4000-8000-000000000002");
const DpuId kCard("tcp:10.0.0.2:5260"), kSecond("unix:/second");

gate::PciAddress at(const char* text) {
  return *gate::parse_pci_address(text);
}
ReservationRecord reserved(const VmId& vm, const char* function, const DpuId& dpu = kCard) {
  return {vm, dpu, FunctionId(function), "serial"};
}
dpu::Function function(const char* id, const char* bdf, bool foreign = false) {
  dpu::Function f;
  f.id = FunctionId(id);
  f.bdf = bdf;
  f.ready = *bdf != '\0';
  f.foreign = foreign;
  return f;
}

class ReservationFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/vnvme-gate-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder = name;
    path = folder + "/reservations";
  }
  void TearDown() override { fs::remove_all(folder); }
  std::string text() const {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
  }
  // Nothing: there is no whole file.
  std::optional<gate::Reservations> now() const { return gate::decode(text()).value; }
  std::string holder(const char* bdf) const {
    auto all = now();
    if (!all) return "no file";
    for (const auto& f : all->functions)
      if (f.address == at(bdf)) return f.vm.empty() ? "nobody" : f.vm;
    return "not ours";
  }
  std::size_t told(const std::string& part) const {
    std::size_t n = 0;
    for (const auto& e : events.since(0, 100)) n += e.text.find(part) != std::string::npos ? 1 : 0;
    return n;
  }
  std::string folder, path;
  EventLog events;
};

TEST_F(ReservationFileTest, IsThereFromTheStartAndFollowsEachChange) {
  ReservationFile file(path, "boot", events);
  file.begin({}, {kCard});
  ASSERT_TRUE(now());
  EXPECT_EQ(*now(), (gate::Reservations{"boot", {}, {}}));
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);

  file.listed(kCard,
              {function("VF0", "0000:26:0c.0"), function("VF1", "0000:26:0c.1", true), function("VF2", "")});
  EXPECT_EQ(holder("0000:26:0c.0"), "nobody");
  EXPECT_EQ(holder("0000:26:0c.1"), "not ours") << "a foreign function is somebody's";
  file.committed({Put<ReservationRecord>{reserved(kVm, "")}});
  EXPECT_EQ(now()->awaited, (std::vector<gate::Awaited>{{kVm.value, Why::opening, kCard.value}}));
  file.opened(kCard, function("VF0", "0000:26:0c.0"));
  file.committed({Put<ReservationRecord>{reserved(kVm, "VF0")}});
  EXPECT_EQ(holder("0000:26:0c.0"), kVm.value);
  EXPECT_TRUE(now()->awaited.empty());
  // The card enumerates anew: the function is what was reserved, not the address.
  file.listed(kCard, {function("VF0", "0000:27:00.0"), function("VF3", "0000:26:0c.0")});
  EXPECT_EQ(holder("0000:27:00.0"), kVm.value);
  EXPECT_EQ(holder("0000:26:0c.0"), "nobody");
  file.committed({EraseReservation{kVm, kCard}});
  EXPECT_EQ(holder("0000:27:00.0"), "nobody") << "still ours, so no list may name it";
  EXPECT_FALSE(fs::exists(path + ".new"));
  EXPECT_EQ(events.last(), 0u);
}

TEST_F(ReservationFileTest, SaysWhyAnAddressIsNotKnown) {
  AllReserved all{{{kVm, kCard}, FunctionId("VF0")}};
  AllSeen seen;
  auto why = [&] {
    auto got = reservations_for_gate(all, seen, "b").awaited;
    return got.empty() ? std::string("known") : std::string(to_text(got.at(0).why));
  };
  EXPECT_EQ(why(), "unseen");
  seen[kSecond].listed = true;
  EXPECT_EQ(why(), "unseen");
  seen[kCard].functions[FunctionId("VF0")] = {at("0000:26:0c.0"), true};  // from an earlier vnvmed
  EXPECT_EQ(why(), "known");
  seen[kCard] = {true, {}};
  EXPECT_EQ(why(), "gone");
  seen[kCard].functions[FunctionId("VF0")] = {std::nullopt, false};
  EXPECT_EQ(why(), "opening") << "plugged, and not yet seen by this host";
  seen[kCard].functions[FunctionId("VF0")] = {std::nullopt, true};
  EXPECT_EQ(why(), "known") << "a function without a PCI side holds nobody up";
  EXPECT_TRUE(reservations_for_gate(all, seen, "b").functions.empty());
  all = {{{VmId("spare vnvmspare01"), kCard}, FunctionId("VF0")}};
  seen[kCard].functions[FunctionId("VF0")] = {at("0000:26:0c.0"), true};
  EXPECT_EQ(reservations_for_gate(all, seen, "b").functions.at(0).vm, "") << "what no VM holds is nobody's";
  seen.clear();
  EXPECT_EQ(why(), "known") << "nor is anybody held up for it";
}

TEST_F(ReservationFileTest, ARestartedDaemonKnowsAddressesThoughTheDpuIsSilent) {
  {
    ReservationFile file(path, "boot", events);
    file.begin({reserved(kVm, "VF0"), reserved(kOther, "F", kSecond)}, {});
    file.listed(kCard, {function("VF0", "0000:26:0c.0")});
    file.listed(kSecond, {function("F", "0000:27:00.0")});
  }
  const auto before = text();
  ReservationFile next(path, "boot", events);
  next.begin({reserved(kVm, "VF0"), reserved(kOther, "F", kSecond)}, {});
  EXPECT_EQ(text(), before);
  // A DPU that was taken out of the configuration has no functions of ours any more.
  ReservationFile without(path, "boot", events);
  without.begin({reserved(kVm, "VF0")}, {});
  EXPECT_EQ(holder("0000:26:0c.0"), kVm.value);
  EXPECT_EQ(holder("0000:27:00.0"), "not ours");
  // After a reboot every address is void (C6).
  ReservationFile rebooted(path, "another boot", events);
  rebooted.begin({reserved(kVm, "VF0")}, {kCard});
  EXPECT_EQ(*now(), (gate::Reservations{"another boot", {}, {{kVm.value, Why::unseen, kCard.value}}}));
  rebooted.listed(kCard, {function("VF0", "0000:28:00.0")});
  EXPECT_EQ(holder("0000:28:00.0"), kVm.value);
}

TEST_F(ReservationFileTest, WithoutABootIdNothingIsTakenOver) {
  ReservationFile file(path, "", events);
  file.begin({reserved(kVm, "VF0")}, {});
  file.listed(kCard, {function("VF0", "0000:26:0c.0")});
  ReservationFile next(path, "", events);
  next.begin({reserved(kVm, "VF0")}, {});
  EXPECT_EQ(now()->awaited.size(), 1u);
}

TEST_F(ReservationFileTest, WhateverStoodThereBeforeIsReplaced) {
  const std::string hostile[] = {"", "x", std::string(gate::kFileLimit + 1, 'x'), std::string(1000, '\0')};
  for (const std::string& before : hostile) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << before;
    ReservationFile file(path, "boot", events);
    file.begin({reserved(kVm, "VF0")}, {});
    ASSERT_TRUE(now());
    EXPECT_EQ(now()->awaited.size(), 1u);
  }
  fs::remove(path);
  fs::create_symlink("/dev/zero", path);
  fs::create_symlink("/dev/full", path + ".new");
  ReservationFile file(path, "boot", events);
  file.begin({}, {});
  EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(path)));
  EXPECT_TRUE(now());
}

TEST_F(ReservationFileTest, WhoeverRemovesOrChangesItGetsItBack) {
  ReservationFile file(path, "boot", events);
  file.begin({}, {kCard});
  fs::remove(path);
  file.listed(kCard, {});
  EXPECT_TRUE(now());
  std::ofstream(path, std::ios::app) << "more";
  file.listed(kCard, {});
  EXPECT_TRUE(now());
}

TEST_F(ReservationFileTest, AFailedWriteIsAnEventAndKeepsTheFormerFile) {
  ReservationFile file(path, "boot", events);
  file.begin({}, {kCard});
  file.listed(kCard, {function("VF0", "0000:26:0c.0")});
  fs::create_directory(path + ".new");  // nothing can be written beside it
  file.committed({Put<ReservationRecord>{reserved(kVm, "VF0")}});
  file.listed(kCard, {function("VF0", "0000:26:0c.0")});
  EXPECT_EQ(told("cannot be written"), 1u) << "once, not at each try";
  EXPECT_EQ(holder("0000:26:0c.0"), "nobody") << "refuses the VM rather than letting anybody through";
  fs::remove(path + ".new");
  file.listed(kCard, {function("VF0", "0000:26:0c.0")});
  EXPECT_EQ(holder("0000:26:0c.0"), kVm.value);
  EXPECT_EQ(told("is written again"), 1u);
  // A folder that is gone, and names that do not fit, are told as well.
  file.listed(kCard, {function(std::string(gate::kWordLimit + 1, 'x').c_str(), "0000:26:0c.0")});
  EXPECT_EQ(told("longer names"), 1u);
  fs::remove_all(folder);
  file.listed(kCard, {});
  EXPECT_EQ(told("No such file"), 1u);
}

TEST_F(ReservationFileTest, TwoCardsNeverHaveOneAddress) {
  ReservationFile file(path, "boot", events);
  file.begin({reserved(kVm, "VF0")}, {});
  file.listed(kCard, {function("VF0", "0000:26:0c.0")});
  // The first card was taken out, the second one got its address, and the first one's DPU tells nothing.
  file.listed(kSecond, {function("F", "0000:26:0c.0")});
  EXPECT_EQ(holder("0000:26:0c.0"), "nobody");
  EXPECT_EQ(now()->awaited.size(), 1u);
}

TEST_F(ReservationFileTest, AListingThatBeganBeforeAFunctionWasOpenedTakesNothingAway) {
  ReservationFile file(path, "boot", events);
  file.begin({reserved(kVm, "VF0"), reserved(kOther, "VF1")}, {});
  file.opened(kCard, function("VF0", "0000:26:0c.0"));
  file.listed(kCard, {function("VF0", ""), function("VF1", "0000:26:0c.1")}, false);
  EXPECT_EQ(holder("0000:26:0c.0"), kVm.value);
  EXPECT_EQ(holder("0000:26:0c.1"), kOther.value);
  file.listed(kCard, {function("VF1", "0000:26:0c.1")});
  EXPECT_EQ(holder("0000:26:0c.0"), "not ours");
}

TEST_F(ReservationFileTest, WithoutAPathThereIsNoFile) {
  ReservationFile file("", "boot", events);
  file.begin({reserved(kVm, "VF0")}, {});
  file.committed({EraseReservation{kVm, kCard}});
  file.listed(kCard, {});
  file.opened(kCard, function("VF0", "0000:26:0c.0"));
  EXPECT_TRUE(fs::is_empty(folder));
  EXPECT_EQ(events.last(), 0u);
}

// What passes through the taps is what came, and the file is right before the caller goes on.
TEST_F(ReservationFileTest, TapsOnStoreAndDpu) {
  test::Rig rig;
  ReservationFile file(path, "boot", events);
  TappedStore store(rig.store, file, {});
  auto loaded = rig.run<Result<Snapshot>>([&store] { return store.load(); });
  ASSERT_TRUE(loaded && *loaded);
  ASSERT_TRUE(now());
  auto fake = std::make_unique<test::FakeDpu>(rig.card, rig.plan);
  auto dpu = tap(std::move(fake), kCard, file);
  const auto soon = Deadline::after(std::chrono::seconds(10));
  auto opened = rig.run<Result<dpu::Function>>(
      [&dpu, soon] { return dpu->open_function("vnvmaaaaaaaa00004000", soon, FunctionId()); });
  ASSERT_TRUE(opened && *opened);
  const dpu::Function made = **opened;
  ASSERT_TRUE(gate::parse_pci_address(made.bdf)) << made.bdf;
  EXPECT_EQ(holder(made.bdf.c_str()), "nobody");
  std::vector<Change> changes{Put<ReservationRecord>{{kVm, kCard, made.id, "vnvmaaaaaaaa00004000"}}};
  auto stored = rig.run<Result<void>>([&store, changes] { return store.commit(changes); });
  ASSERT_TRUE(stored && *stored);
  EXPECT_EQ(holder(made.bdf.c_str()), kVm.value);
  // A refused commit changes nothing.
  rig.memory.before_commit = [](const std::vector<Change>&) -> Result<void> {
    return fail(Errc::io, "full");
  };
  std::vector<Change> gone{EraseReservation{kVm, kCard}};
  auto refused = rig.run<Result<void>>([&store, gone] { return store.commit(gone); });
  EXPECT_TRUE(refused && !*refused);
  EXPECT_EQ(holder(made.bdf.c_str()), kVm.value);
  rig.memory.before_commit = nullptr;
  auto closed = rig.run<Result<void>>([&dpu, made, soon] { return dpu->close_function(made.id, soon); });
  ASSERT_TRUE(closed && *closed);
  rig.card.functions.clear();
  auto list = rig.run<Result<std::vector<dpu::Function>>>([&dpu, soon] { return dpu->list_functions(soon); });
  ASSERT_TRUE(list && *list);
  EXPECT_EQ(now()->awaited.size(), 1u) << "the DPU shows it no more";
  // No answer is not "none".
  auto before = text();
  rig.card.power(false);
  auto lost = rig.run<Result<std::vector<dpu::Function>>>([&dpu, soon] { return dpu->list_functions(soon); });
  EXPECT_TRUE(lost && !*lost);
  EXPECT_EQ(text(), before);
}

}  // namespace
}  // namespace vnvme::service
