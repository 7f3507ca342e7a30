// What is wanted, in memory: changed only by what was committed.
#include "model/world.hpp"

#include <gtest/gtest.h>

namespace vnvme::model {
namespace {

const SrId kSr("sr-1"), kOtherSr("sr-2");
const VolumeId kA("a"), kB("b"), kC("c");
const std::string kOwner = "vm:one";

VolumeRecord volume(const VolumeId& id, std::uint64_t seq, const SrId& sr = kSr) {
  VolumeRecord v;
  v.id = id;
  v.sr = sr;
  v.seq = seq;
  v.state = VolumeState::ready;
  return v;
}

AttachmentRecord hold(const VolumeId& id, const std::string& owner) {
  AttachmentRecord a;
  a.volume = id;
  a.owner = owner;
  return a;
}

RequestRecord request(const std::string& id) {
  RequestRecord r;
  r.id = RequestId(id);
  return r;
}

IntentRecord intent(std::uint64_t id, const SrId& sr, const VolumeId& about) {
  IntentRecord i;
  i.id = id;
  i.sr = sr;
  i.volume = about;
  return i;
}

std::vector<std::string> ids(const std::vector<const VolumeRecord*>& volumes) {
  std::vector<std::string> out;
  for (const auto* v : volumes) out.push_back(v->id.value);
  return out;
}

// Everything once, as the store gives it at the start.
Snapshot everything() {
  Snapshot s;
  SrRecord sr;
  sr.id = kSr;
  s.srs = {sr};
  s.volumes = {volume(kA, 4), volume(kB, 2), volume(kC, 9, kOtherSr)};
  s.attachments = {hold(kA, kOwner), hold(kA, "dom0"), hold(kB, kOwner)};
  ReservationRecord r;
  r.vm = VmId("one");
  r.dpu = DpuId("unix:/a");
  s.reservations = {r};
  s.nsids = {{kOwner, kA, 1}, {kOwner, kB, 3}, {"vm:two", kA, 7}};
  s.intents = {intent(5, kSr, kA), intent(6, kOtherSr, kC)};
  s.requests = {request("r1"), request("r2")};
  s.notes = {{"key", "value"}};
  return s;
}

TEST(World, TakesWhatTheStoreHas) {
  World world(everything());
  ASSERT_NE(world.sr(kSr), nullptr);
  EXPECT_EQ(world.sr(kOtherSr), nullptr);
  EXPECT_EQ(world.srs().size(), 1u);
  EXPECT_EQ(world.volumes().size(), 3u);
  ASSERT_NE(world.volume(kA), nullptr);
  EXPECT_EQ(world.volume(VolumeId("none")), nullptr);
  EXPECT_EQ(world.attachments().size(), 3u);
  ASSERT_NE(world.attachment(kA, "dom0"), nullptr);
  EXPECT_EQ(world.attachment(kB, "dom0"), nullptr);
  EXPECT_NE(world.reservation(VmId("one"), DpuId("unix:/a")), nullptr);
  EXPECT_EQ(world.reservation(VmId("one"), DpuId("unix:/b")), nullptr);
  EXPECT_EQ(world.reservations().size(), 1u);
  EXPECT_EQ(world.intents().size(), 2u);
  EXPECT_NE(world.request(RequestId("r1")), nullptr);
  EXPECT_EQ(world.request(RequestId("r9")), nullptr);
  EXPECT_EQ(world.notes().at("key"), "value");
  EXPECT_EQ(world.next_intent_id(), 7u);
  EXPECT_EQ(world.next_seq(), 10u);
}

TEST(World, ListsEachSrInOrderOfCreation) {
  World world(everything());
  EXPECT_EQ(ids(world.volumes_of(kSr)), (std::vector<std::string>{"b", "a"}));
  EXPECT_EQ(ids(world.volumes_of(kOtherSr)), (std::vector<std::string>{"c"}));
  EXPECT_TRUE(world.volumes_of(SrId("none")).empty());
}

TEST(World, AVolumeThatIsPutAgainIsOne) {
  World world(everything());
  auto changed = volume(kA, 11, kOtherSr);
  changed.name = "moved";
  world.apply(Put<VolumeRecord>{changed});
  EXPECT_EQ(ids(world.volumes_of(kSr)), (std::vector<std::string>{"b"}));
  EXPECT_EQ(ids(world.volumes_of(kOtherSr)), (std::vector<std::string>{"c", "a"}));
  EXPECT_EQ(world.volume(kA)->name, "moved");
  EXPECT_EQ(world.next_seq(), 12u);
}

TEST(World, XapiSeesReadyVolumesOfThatSrOnly) {
  World world;
  world.apply(Put<VolumeRecord>{volume(kA, 1)});
  EXPECT_NE(world.visible(kSr, kA), nullptr);
  EXPECT_EQ(world.visible(kOtherSr, kA), nullptr);
  EXPECT_EQ(world.visible(kSr, kB), nullptr);
  for (auto state : {VolumeState::creating, VolumeState::trash}) {
    auto v = volume(kA, 1);
    v.state = state;
    world.apply(Put<VolumeRecord>{v});
    EXPECT_EQ(world.visible(kSr, kA), nullptr);
  }
  auto v = volume(kA, 1);
  v.kind = VolumeKind::snapshot;
  world.apply(Put<VolumeRecord>{v});
  EXPECT_NE(world.visible(kSr, kA), nullptr);
  v.kind = VolumeKind::base;
  world.apply(Put<VolumeRecord>{v});
  EXPECT_EQ(world.visible(kSr, kA), nullptr);
}

TEST(World, AttachmentsOfOneVolumeAreItsOwn) {
  World world(everything());
  auto of_a = world.attachments_of(kA);
  ASSERT_EQ(of_a.size(), 2u);
  for (const auto* a : of_a) EXPECT_EQ(a->volume, kA);
  ASSERT_EQ(world.attachments_of(kB).size(), 1u);
  EXPECT_TRUE(world.attachments_of(kC).empty());
}

TEST(World, ANamespaceKeepsItsNumberForEver) {
  World world(everything());
  EXPECT_EQ(world.nsid_for(kOwner, kB), 3u);
  EXPECT_EQ(world.nsid_for(kOwner, kC), 2u) << "the lowest that no volume of this guest has had";
  EXPECT_EQ(world.nsid_for("vm:two", kC), 1u);
  EXPECT_EQ(world.nsid_for("vm:new", kA), 1u);
  world.apply(Put<NsidRecord>{{kOwner, kC, 2}});
  EXPECT_EQ(world.nsid_for(kOwner, VolumeId("d")), 4u);
}

TEST(World, IntentsAreFoundByVolume) {
  World world(everything());
  EXPECT_TRUE(world.has_intent(kC));
  EXPECT_FALSE(world.has_intent(kB));
  world.apply(Put<IntentRecord>{intent(5, kSr, kB)});
  EXPECT_TRUE(world.has_intent(kB));
  EXPECT_FALSE(world.has_intent(kA));
  EXPECT_EQ(world.next_intent_id(), 7u) << "an id that is put again gives no new one away";
}

TEST(World, EachKindOfRecordIsErased) {
  World world(everything());
  world.apply({Erase<SrId>{kSr}, Erase<VolumeId>{kC}, Erase<VolumeId>{VolumeId("none")},
               EraseAttachment{kA, "dom0"}, EraseReservation{VmId("one"), DpuId("unix:/a")},
               EraseNsid{kOwner, kA}, EraseIntent{5}, Erase<RequestId>{RequestId("r1")}, EraseNote{"key"}});
  EXPECT_EQ(world.sr(kSr), nullptr);
  EXPECT_EQ(world.volume(kC), nullptr);
  EXPECT_TRUE(world.volumes_of(kOtherSr).empty());
  EXPECT_EQ(world.attachments_of(kA).size(), 1u);
  EXPECT_TRUE(world.reservations().empty());
  EXPECT_EQ(world.nsid_for(kOwner, kC), 1u);
  EXPECT_FALSE(world.has_intent(kA));
  EXPECT_EQ(world.request(RequestId("r1")), nullptr);
  EXPECT_TRUE(world.notes().empty());
  EXPECT_EQ(world.next_intent_id(), 7u) << "ids are never given twice";
}

TEST(World, EachKindOfRecordIsPut) {
  World world;
  SrRecord sr;
  sr.id = kSr;
  ReservationRecord reservation;
  reservation.vm = VmId("one");
  reservation.dpu = DpuId("d");
  world.apply({Put<SrRecord>{sr}, Put<VolumeRecord>{volume(kA, 1)}, Put<AttachmentRecord>{hold(kA, kOwner)},
               Put<ReservationRecord>{reservation}, Put<NsidRecord>{{kOwner, kA, 1}},
               Put<IntentRecord>{intent(3, kSr, kA)}, Put<RequestRecord>{request("r1")}, PutNote{"k", "v"}});
  EXPECT_NE(world.sr(kSr), nullptr);
  EXPECT_NE(world.visible(kSr, kA), nullptr);
  EXPECT_NE(world.attachment(kA, kOwner), nullptr);
  EXPECT_NE(world.reservation(VmId("one"), DpuId("d")), nullptr);
  EXPECT_EQ(world.nsid_for(kOwner, kB), 2u);
  EXPECT_TRUE(world.has_intent(kA));
  EXPECT_NE(world.request(RequestId("r1")), nullptr);
  EXPECT_EQ(world.notes().at("k"), "v");
}

TEST(World, TheOldestRequestsAreSurplus) {
  World world;
  for (const char* id : {"z", "y", "x"}) world.apply(Put<RequestRecord>{request(id)});
  auto again = request("z");
  again.answer = "1";
  world.apply(Put<RequestRecord>{again});
  EXPECT_EQ(world.request(RequestId("z"))->answer, "1");
  EXPECT_TRUE(world.surplus_requests(3).empty());
  EXPECT_EQ(world.surplus_requests(2), std::vector<RequestId>{RequestId("z")}) << "by age, not by name";
  EXPECT_EQ(world.surplus_requests(0).size(), 3u);
  world.apply(Erase<RequestId>{RequestId("y")});
  EXPECT_EQ(world.surplus_requests(1), std::vector<RequestId>{RequestId("z")});
}

TEST(World, KnowsWhoHadANumberForAVolume) {
  World world;
  for (const char* owner : {"vm:b", "dom0", "vm:a"}) world.apply(Put<NsidRecord>{{owner, VolumeId("v"), 1}});
  world.apply(Put<NsidRecord>{{"vm:c", VolumeId("other"), 2}});
  EXPECT_EQ(world.owners_with_nsid(VolumeId("v")), (std::vector<std::string>{"dom0", "vm:a", "vm:b"}));
  EXPECT_TRUE(world.owners_with_nsid(VolumeId("none")).empty());
  auto before = world.version();
  world.apply(EraseNsid{"dom0", VolumeId("v")});
  EXPECT_GT(world.version(), before);
  EXPECT_EQ(world.owners_with_nsid(VolumeId("v")).size(), 2u);
}

}  // namespace
}  // namespace vnvme::model
