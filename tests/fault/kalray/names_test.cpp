// A VM's disk on a card that knows names only, from SR.create to SR.destroy; and the same with every step
// failing once: in the end no volume is left on a function, and each has its own name (C2).
#include <gtest/gtest.h>

#include "dpu/kalray/kalray_dpu.hpp"
#include "model/names.hpp"
#include "support/rig.hpp"

namespace vnvme::test {
namespace {

using dpu::kalray::Slot;
using std::chrono::seconds;
const std::vector<Slot> kSlots{{"volume_09", "0000:04:00.2"},
                               {"volume_10", "0000:04:00.3"},
                               {"volume_11", "0000:04:00.4"},
                               {"volume_12", "0000:04:00.5"}};

struct CardRig : Rig {
  CardRig() {
    crash();
    family = [](boost::asio::io_context& context, std::unique_ptr<dpu::Dpu> inner) {
      return dpu::kalray::make_kalray_dpu(context, std::move(inner), kSlots);
    };
    boot();
  }
  // A drive cannot be shown to dom0: without force its contents are unknown.
  Result<SrId> sr_on_card() { return make_sr("force_drives", "S0").value(); }
  Result<smapi::Volume> disk(const std::string& name) { return create(name, GiB(1)).value(); }
  std::string name_on_card(const VolumeId& v) { return lvol(v)->info.name; }
  bool on_function(const VolumeId& v) {
    auto name = name_on_card(v);
    return std::any_of(kSlots.begin(), kSlots.end(), [&name](const Slot& s) { return s.name == name; });
  }
  void start_vm() {
    domains.running[7] = vm;
    auto reserved = reserve(vm).value();
    EXPECT_TRUE(reserved) << reserved.error().describe();
  }
  Result<void> rename(const VolumeId& v, const std::string& name) {
    return run<Result<void>>(
               [=, this] { return services->volume_set_name(context("Volume.set_name"), sr, v, name); })
        .value();
  }
};

TEST(KalrayService, TheOnePoolIsCalledAsTheCardWantsIt) {
  CardRig rig;
  auto unknown = rig.make_sr().value();
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, Errc::in_use);
  EXPECT_NE(unknown.error().text.find("contents unknown"), std::string::npos) << unknown.error().text;
  ASSERT_TRUE(rig.sr_on_card());
  ASSERT_EQ(rig.card.pools.size(), 1u);
  EXPECT_EQ(rig.card.pools.begin()->second.name, "lvs");
  rig.sr = SrId("11111111-2222-3333-4444-555555555556");
  auto second = rig.make_sr("force_drives", "S1").value();
  ASSERT_FALSE(second) << "there is one already";
}
TEST(KalrayService, AStrangersPoolIsLeftAlone) {
  CardRig rig;
  dpu::Pool pool;
  pool.id = PoolId("99999999-2222-4333-8444-555555555555");
  pool.name = "lvs";
  pool.drive = "Nvme1n1";
  rig.card.pools[pool.id.value] = pool;
  rig.card.drives["Nvme1n1"].claimed = true;
  auto made = rig.sr_on_card();
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Errc::in_use);
  EXPECT_NE(made.error().text.find("lvs"), std::string::npos) << made.error().text;
  rig.settle();
  EXPECT_TRUE(rig.card.pools.contains(pool.id.value));
}
TEST(KalrayService, AVmsDiskComesAndGoes) {
  CardRig rig;
  ASSERT_TRUE(rig.sr_on_card());
  auto v = rig.disk("data");
  ASSERT_TRUE(v) << v.error().describe();
  rig.start_vm();
  auto attached = rig.attach(v->key, "7").value();
  ASSERT_TRUE(attached) << attached.error().describe();
  ASSERT_TRUE(rig.activate(v->key, "7").value());
  EXPECT_TRUE(rig.on_function(v->key)) << rig.name_on_card(v->key);
  ASSERT_TRUE(rig.rename(v->key, "other"));
  ASSERT_TRUE(rig.settle());
  EXPECT_TRUE(rig.on_function(v->key)) << "a new label takes no disk away";
  ASSERT_TRUE(rig.snapshot(v->key).value());
  rig.domains.running.clear();
  ASSERT_TRUE(rig.release(v->key, "7").value());
  ASSERT_TRUE(rig.settle());
  EXPECT_EQ(rig.name_on_card(v->key), model::volume_name(v->key, "other", 63));
  rig.check("released");
}
TEST(KalrayService, ARestartFindsTheDiskWhereItIs) {
  CardRig rig;
  ASSERT_TRUE(rig.sr_on_card());
  auto v = rig.disk("data");
  rig.start_vm();
  ASSERT_TRUE(rig.attach(v->key, "7").value());
  auto where = rig.name_on_card(v->key);
  rig.crash();
  rig.boot();
  ASSERT_TRUE(rig.settle());
  EXPECT_EQ(rig.name_on_card(v->key), where);
  rig.domains.running.clear();
  ASSERT_TRUE(rig.settle());
  rig.advance(seconds(45));
  EXPECT_EQ(rig.name_on_card(v->key), model::volume_name(v->key, "data", 63));
}
TEST(KalrayService, AVmHasOneOfItsDisks) {
  CardRig rig;
  ASSERT_TRUE(rig.sr_on_card());
  auto a = rig.disk("a"), b = rig.disk("b");
  rig.start_vm();
  ASSERT_TRUE(rig.attach(a->key, "7").value());
  auto second = rig.attach(b->key, "7").value();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::in_use);
  EXPECT_NE(second.error().text.find("carries one volume"), std::string::npos) << second.error().text;
  EXPECT_TRUE(rig.on_function(a->key));
  EXPECT_FALSE(rig.on_function(b->key));
}
TEST(KalrayService, Dom0HasOneAtATime) {
  CardRig rig;
  ASSERT_TRUE(rig.sr_on_card());
  auto a = rig.disk("a"), b = rig.disk("b");
  auto device = rig.attach(a->key, "u0-copy").value();
  ASSERT_TRUE(device) << device.error().describe();
  const auto* path = std::get_if<smapi::Backend::BlockDevice>(&device->implementations.at(0));
  ASSERT_NE(path, nullptr);
  EXPECT_EQ(path->path, "/dev/fake-" + rig.lvol(a->key)->info.id.value) << "the uuid that the card shows";
  EXPECT_FALSE(rig.attach(b->key, "u0-copy").value());
  ASSERT_TRUE(rig.release(a->key, "u0-copy").value());
  ASSERT_TRUE(rig.attach(b->key, "u0-copy").value()) << "one after the other";
}
TEST(KalrayService, AStrangersVolumeOnAFunctionStaysThere) {
  CardRig rig;
  ASSERT_TRUE(rig.sr_on_card());
  auto v = rig.disk("data");
  Lvol strange = *rig.lvol(v->key);
  strange.info.id = DpuVolumeId("99999999-2222-4333-8444-555555555555");
  strange.info.name = "volume_12";
  rig.card.lvols[strange.info.id.value] = strange;
  rig.crash();
  rig.boot();
  ASSERT_TRUE(rig.settle());
  rig.advance(seconds(45));
  EXPECT_EQ(rig.card.lvols[strange.info.id.value].info.name, "volume_12");
  auto gone =
      rig.run<Result<void>>([&] { return rig.services->sr_destroy(rig.context("SR.destroy"), rig.sr); });
  EXPECT_FALSE(*gone);
  EXPECT_TRUE(rig.card.lvols.contains(strange.info.id.value));
}

// A disk's way onto a function and back, with one step that goes wrong.
bool one_case(std::size_t step, Fault fault) {
  CardRig rig;
  EXPECT_TRUE(rig.sr_on_card());
  auto v = rig.disk("data");
  auto other = rig.disk("other");
  rig.start_vm();
  rig.plan.arm(step, fault);
  (void)rig.attach(v->key, "7");
  if (rig.services) (void)rig.activate(v->key, "7");
  if (rig.services)
    (void)rig.run<Result<void>>(
        [&] { return rig.services->volume_set_name(rig.context("Volume.set_name"), rig.sr, v->key, "new"); });
  if (rig.services) rig.advance(seconds(3));
  if (rig.services) (void)rig.release(v->key, "7");
  rig.domains.running.clear();
  if (rig.services) rig.advance(seconds(5));
  bool hit = rig.plan.hit();
  auto where = "step " + std::to_string(step) + " " + rig.plan.where();
  rig.plan.disarm();
  if (!hit) return false;
  if (!rig.services) rig.boot();
  rig.advance(seconds(1));
  for (auto& effect : rig.plan.late) effect();
  rig.plan.late.clear();
  EXPECT_TRUE(rig.settle(std::chrono::minutes(3))) << where;
  rig.advance(seconds(45));
  EXPECT_TRUE(rig.settle(std::chrono::minutes(3))) << where;
  rig.check(where);
  // The way is free again.
  rig.domains.running[7] = rig.vm;
  auto again = rig.attach(other->key, "7").value();
  EXPECT_TRUE(again) << where << ": " << again.error().describe();
  EXPECT_TRUE(rig.on_function(other->key)) << where;
  EXPECT_FALSE(rig.on_function(v->key)) << where;
  return true;
}

class KalrayEveryStep : public testing::TestWithParam<FaultKind> {};
TEST_P(KalrayEveryStep, GoesWrongOnce) {
  std::size_t step = 0;
  while (step < 400 && one_case(step, {GetParam(), Errc::io})) {
    ++step;
    if (HasFailure()) return;
  }
  std::printf("F1/F2 kalray: %zu cases\n", step);
  EXPECT_GT(step, 20u);
  EXPECT_LT(step, 400u);
}
std::string name_of(const testing::TestParamInfo<FaultKind>& one) {
  switch (one.param) {
    case FaultKind::error:
      return "refused";
    case FaultKind::lost_before:
      return "lost_before";
    case FaultKind::lost_after:
      return "lost_after";
    case FaultKind::crash_before:
      return "crash_before";
    case FaultKind::crash_after:
      return "crash_after";
    case FaultKind::lost_late:
      return "lost_late";
    case FaultKind::crash_late:
      return "crash_late";
    case FaultKind::none:
      break;
  }
  return "none";
}
INSTANTIATE_TEST_SUITE_P(Names, KalrayEveryStep,
                         testing::Values(FaultKind::error, FaultKind::lost_before, FaultKind::lost_after,
                                         FaultKind::crash_before, FaultKind::crash_after,
                                         FaultKind::lost_late, FaultKind::crash_late),
                         name_of);

}  // namespace
}  // namespace vnvme::test
