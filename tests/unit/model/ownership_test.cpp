// Who may have a volume, and how (I3).
#include "model/ownership.hpp"

#include <gtest/gtest.h>

namespace vnvme::model {
namespace {

const VolumeId kVolume("6c84b44c-a61b-41a4-8b19-32ab643b57d9");
const std::string kMine = "vm:aaaaaaaa-0000-0000-0000-000000000001";
const std::string kOther = "vm:aaaaaaaa-0000-0000-0000-000000000002";

VolumeRecord volume(VolumeKind kind = VolumeKind::data, Bytes size = GiB(1)) {
  VolumeRecord v;
  v.id = kVolume;
  v.kind = kind;
  v.state = VolumeState::ready;
  v.size = size;
  return v;
}

AttachmentRecord hold(const std::string& owner, AttachMode mode = AttachMode::none,
                      AttachState state = AttachState::attached, std::set<std::string> domains = {"7"}) {
  AttachmentRecord a;
  a.volume = kVolume;
  a.owner = owner;
  a.mode = mode;
  a.state = state;
  a.domains = std::move(domains);
  return a;
}

World with(const std::vector<AttachmentRecord>& holds) {
  Snapshot snapshot;
  snapshot.volumes = {volume()};
  snapshot.attachments = holds;
  return World(std::move(snapshot));
}

TEST(Domains, AreDom0OrAGuestOrNobody) {
  for (const char* dom0 : {"0", "u0_vbd_0_xvda", "u0-restore", "u0_", "u0-"})
    EXPECT_EQ(domain_kind(dom0), DomainKind::dom0) << dom0;
  for (const char* guest : {"1", "17", "4294967295"})
    EXPECT_EQ(domain_kind(guest), DomainKind::guest) << guest;
  for (const char* nobody : {"", "u0", "u1_x", "00", "-1", "1x", "x1", " 1", "4294967296", "1.5"})
    EXPECT_EQ(domain_kind(nobody), DomainKind::nobody) << nobody;
  EXPECT_EQ(domid_of("17"), 17u);
  EXPECT_EQ(domid_of("017"), 17u);
  EXPECT_FALSE(domid_of("0"));
}

TEST(Owners, AreNamedAfterTheirVm) {
  const VmId vm("aaaaaaaa-0000-0000-0000-000000000001");
  EXPECT_EQ(owner_of_vm(vm), kMine);
  EXPECT_EQ(vm_of_owner(kMine), vm);
  EXPECT_FALSE(vm_of_owner(kDom0));
  EXPECT_FALSE(vm_of_owner(""));
  EXPECT_FALSE(vm_of_owner("vm"));
}

TEST(Owners, ArePrintedForPeople) {
  EXPECT_EQ(describe_owner(hold(kMine)), "VM aaaaaaaa-0000-0000-0000-000000000001");
  EXPECT_EQ(describe_owner(hold(kDom0, AttachMode::none, AttachState::attached, {})), "dom0");
  EXPECT_EQ(describe_owner(hold(kDom0, AttachMode::none, AttachState::attached, {"u0_a", "u0_b"})),
            "dom0 (u0_a, u0_b)");
  EXPECT_EQ(
      describe_owner(hold(kDom0, AttachMode::none, AttachState::attached, {"0", "u0_a", "u0_b", "u0_c"})),
      "dom0 (0, u0_a, u0_b)")
      << "three are enough for one line";
}

TEST(Attach, NobodyHasItOrTheSameOwnerHasIt) {
  EXPECT_TRUE(may_attach(with({}), volume(), kMine));
  EXPECT_TRUE(may_attach(with({hold(kMine)}), volume(), kMine));
  EXPECT_TRUE(
      may_attach(with({hold(kMine, AttachMode::read_write, AttachState::releasing)}), volume(), kMine));
}

TEST(Attach, AnotherOwnerIsInUseAndALeavingOneIsBusy) {
  auto held = may_attach(with({hold(kOther)}), volume(), kMine);
  ASSERT_FALSE(held);
  EXPECT_EQ(held.error().code, Errc::in_use);
  EXPECT_NE(held.error().text.find("is attached to VM aaaaaaaa-0000-0000-0000-000000000002"),
            std::string::npos);
  auto leaving =
      may_attach(with({hold(kOther, AttachMode::read_write, AttachState::releasing)}), volume(), kDom0);
  ASSERT_FALSE(leaving);
  EXPECT_EQ(leaving.error().code, Errc::busy);
  EXPECT_NE(leaving.error().text.find("still being released by VM"), std::string::npos);
  EXPECT_FALSE(may_attach(with({hold(kMine), hold(kOther)}), volume(), kMine)) << "one hold too many";
}

TEST(Attach, NothingOfNoBytes) {
  auto empty = may_attach(with({}), volume(VolumeKind::data, Bytes{0}), kMine);
  ASSERT_FALSE(empty);
  EXPECT_EQ(empty.error().code, Errc::not_supported);
  EXPECT_NE(empty.error().text.find("resize it first"), std::string::npos);
}

TEST(Activate, AWritableVolumeIsReadWriteForGuestsAndEitherForDom0) {
  EXPECT_TRUE(may_activate(with({hold(kMine)}), volume(), kMine, AttachMode::read_write));
  auto guest = may_activate(with({hold(kMine)}), volume(), kMine, AttachMode::read_only);
  ASSERT_FALSE(guest);
  EXPECT_EQ(guest.error().code, Errc::not_permitted);
  EXPECT_TRUE(may_activate(with({hold(kDom0)}), volume(), kDom0, AttachMode::read_write));
  EXPECT_TRUE(may_activate(with({hold(kDom0)}), volume(), kDom0, AttachMode::read_only));
  EXPECT_TRUE(may_activate(with({}), volume(), kMine, AttachMode::read_write))
      << "nothing of ours speaks against it";
}

TEST(Activate, ASnapshotIsReadOnlyForEverybody) {
  for (auto kind : {VolumeKind::snapshot, VolumeKind::base})
    for (const std::string& owner : {kMine, std::string(kDom0)}) {
      auto writing = may_activate(with({hold(owner)}), volume(kind), owner, AttachMode::read_write);
      ASSERT_FALSE(writing) << owner;
      EXPECT_EQ(writing.error().code, Errc::not_permitted);
      EXPECT_NE(writing.error().text.find("clone it to write"), std::string::npos);
      EXPECT_TRUE(may_activate(with({hold(owner)}), volume(kind), owner, AttachMode::read_only)) << owner;
    }
}

TEST(Activate, WhatAnotherHasIsRefusedFirst) {
  auto held = may_activate(with({hold(kOther)}), volume(), kMine, AttachMode::read_write);
  ASSERT_FALSE(held);
  EXPECT_EQ(held.error().code, Errc::in_use);
}

TEST(Activate, TheSecondAttacherOfOneOwnerKeepsTheMode) {
  const std::set<std::string> two{"u0_a", "u0_b"};
  auto world = with({hold(kDom0, AttachMode::read_write, AttachState::active, two)});
  EXPECT_TRUE(may_activate(world, volume(), kDom0, AttachMode::read_write));
  auto other = may_activate(world, volume(), kDom0, AttachMode::read_only);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Errc::in_use);
  EXPECT_NE(other.error().text.find("dom0 (u0_a, u0_b) in the other mode"), std::string::npos);
  auto alone = with({hold(kDom0, AttachMode::read_write, AttachState::active, {"u0_a"})});
  EXPECT_TRUE(may_activate(alone, volume(), kDom0, AttachMode::read_only)) << "it disturbs nobody";
}

TEST(Destroy, OnlyWhatNobodyHas) {
  EXPECT_TRUE(may_destroy(with({}), volume()));
  auto held = may_destroy(with({hold(kMine)}), volume());
  ASSERT_FALSE(held);
  EXPECT_EQ(held.error().code, Errc::in_use);
  EXPECT_NE(held.error().text.find("is attached to VM"), std::string::npos);
  auto leaving = may_destroy(with({hold(kDom0, AttachMode::none, AttachState::releasing)}), volume());
  ASSERT_FALSE(leaving);
  EXPECT_EQ(leaving.error().code, Errc::busy);
  EXPECT_NE(leaving.error().text.find("still being released by dom0"), std::string::npos);
}

}  // namespace
}  // namespace vnvme::model
