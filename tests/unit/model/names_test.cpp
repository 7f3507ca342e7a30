// Names on a DPU are all that is left when the store is lost (C5), and what marks an object as ours (I1).
#include "model/names.hpp"

#include <gtest/gtest.h>

#include "core/text.hpp"

namespace vnvme::model {
namespace {

const VolumeId kId("6c84b44c-a61b-41a4-8b19-32ab643b57d9");
const std::string kHex = "6c84b44ca61b41a48b1932ab643b57d9";

TEST(Names, EachKindIsFoundAgain) {
  const std::pair<std::string, NameKind> all[] = {{volume_name(kId, "", 63), NameKind::volume},
                                                  {base_name(kId), NameKind::base},
                                                  {trash_name(kId), NameKind::trash},
                                                  {replacement_name(kId), NameKind::replacement}};
  for (const auto& [name, kind] : all) {
    auto own = parse_name(name);
    ASSERT_TRUE(own) << name;
    EXPECT_EQ(own->kind, kind) << name;
    EXPECT_EQ(own->id, kId) << name;
    EXPECT_EQ(own->label, "") << name;
    EXPECT_FALSE(parse_name(name + "x")) << name;
    EXPECT_FALSE(parse_name(name.substr(0, name.size() - 1))) << name;
  }
  EXPECT_EQ(sr_of_pool_name(pool_name(SrId(kId.value))), SrId(kId.value));
}

TEST(Names, WhatWeWouldNeverWriteIsNotOurs) {
  std::string loud = kHex;
  loud[0] = '6', loud[1] = 'C';
  const std::string strangers[] = {
      "vnvme." + loud, "vnvme-base." + loud, "vnvme-trash." + loud,           "vnvme-new." + loud,
      "Vnvme." + kHex, "vnvme-" + kHex,      "vnvme-base." + kHex + ".label", "vnvme." + kHex + "/x",
      "lvol0",         std::string()};
  for (const auto& name : strangers) {
    EXPECT_FALSE(parse_name(name)) << name;
    EXPECT_FALSE(sr_of_pool_name(name)) << name;
  }
  EXPECT_FALSE(sr_of_pool_name("vnvme." + kHex + ".label"));
}

TEST(Names, TheLabelIsReadableAndCutAtACharacter) {
  EXPECT_EQ(parse_name(volume_name(kId, "root/disk", 63))->label, "root_disk");
  const std::string wide = "\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9";
  for (std::size_t limit = 38; limit < 70; ++limit) {
    const auto name = volume_name(kId, wide, limit);
    EXPECT_LE(name.size(), limit);
    EXPECT_TRUE(is_utf8(name)) << limit;
    EXPECT_TRUE(wide.starts_with(parse_name(name)->label)) << limit;
  }
}

TEST(Names, ALimitWithoutRoomForALabelLeavesTheNameWhole) {
  const std::string bare = "vnvme." + kHex;
  for (std::size_t limit : {0u, 38u, 39u}) EXPECT_EQ(volume_name(kId, "root", limit), bare) << limit;
  EXPECT_EQ(volume_name(kId, "root", 40), bare + ".r");
  EXPECT_EQ(volume_name(kId, "\u00e9", 40), bare) << "no part of a character";
}

TEST(Names, ARaidIsNamedAfterItsSrAndIsNoVolume) {
  EXPECT_EQ(raid_name(SrId(kId.value)), "vnvme-raid.6c84b44ca61b41a4");
  EXPECT_FALSE(parse_name(raid_name(SrId(kId.value))));
  EXPECT_FALSE(sr_of_pool_name(raid_name(SrId(kId.value))));
}

TEST(Names, SerialsFitTheFieldOfAController) {
  // Fixed for ever: functions are found again by it.
  EXPECT_EQ(serial_of_vm(VmId("aaaaaaaa-0000-0000-0000-000000000001")).size(), 20u);
  EXPECT_NE(serial_of_vm(VmId("aaaaaaaa-0000-0000-0000-000000000001")),
            serial_of_vm(VmId("aaaaaaaa-0000-0000-0000-000000000002")));
  EXPECT_LE(serial_of_vm(VmId(kId.value)).size(), 20u);
  EXPECT_LE(kDom0Serial.size(), 20u);
}

TEST(Names, ASpareIsNoVm) {
  EXPECT_TRUE(is_spare(spare_holder("vnvm0123")));
  EXPECT_NE(spare_holder("vnvm0123"), spare_holder("vnvm0124"));
  EXPECT_FALSE(is_spare(VmId("aaaaaaaa-0000-0000-0000-000000000001")));
  EXPECT_FALSE(parse_uuid(spare_holder("vnvm0123").value)) << "so no VM can be called like that";
}

}  // namespace
}  // namespace vnvme::model
