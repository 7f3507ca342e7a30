// xenopsd's record of a PCI function: as recorded from the real one, and everything that it might become.
#include "hook/pci_list.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace vnvme::hook {
namespace {

using gate::PciAddress;

PciAddress at(std::string_view text) {
  return gate::parse_pci_address(text).value();
}

std::string recorded() {
  std::ifstream in(VNVME_TEST_DATA "/hook/pci-record.json");
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

TEST(PciRecord, TheRecordedOneIsRead) {
  ASSERT_FALSE(recorded().empty());
  EXPECT_EQ(address_of_record(recorded()), at("0000:01:00.0"));
}

TEST(PciRecord, NumbersInAnyOrderWithAnySpaceAndMembersBesides) {
  EXPECT_EQ(address_of_record(R"({"address":{"domain":1,"bus":38,"dev":12,"fn":7}})"), at("0001:26:0c.7"));
  EXPECT_EQ(address_of_record(
                "{ \"id\" : [\"v\",\"x\"] ,\n\"address\" :\t{ \"fn\" : 1 , \"novel\" : 9 , \"dev\" : 31,"
                " \"bus\":255, \"domain\":65535 } }"),
            at("ffff:ff:1f.1"));
}

TEST(PciRecord, WhatIsNotFourNumbersInRangeIsNotRead) {
  for (const char* text :
       {"", "{}", "\"address\"", "\"address\":", "{\"address\":{", "{\"address\":{}}",
        "{\"address\":\"0000:01:00.0\"}", R"({"address":{"bus":1,"dev":0,"fn":0}})",
        R"({"address":{"domain":0,"bus":"01","dev":0,"fn":0}})",
        R"({"address":{"domain":0,"bus":256,"dev":0,"fn":0}})",
        R"({"address":{"domain":0,"bus":-1,"dev":0,"fn":0}})",
        R"({"address":{"domain":0,"bus":1,"dev":32,"fn":0}})",
        R"({"address":{"domain":0,"bus":1,"dev":0,"fn":8}})",
        R"({"address":{"domain":0,"bus":1,"dev":0,"fn":0)",
        R"({"address":{"domain":0,"bus":1,"dev":0,"fn":0,}})",
        R"({"address":{"domain":99999999999999999999,"bus":1,"dev":0,"fn":0}})",
        R"({"address":{"domain":0,"bus":{"x":1},"dev":0,"fn":0}})", R"({"address":[0,1,0,0]})"})
    EXPECT_FALSE(address_of_record(text)) << text;
  std::string many = "{\"address\":{";
  for (int i = 0; i < 100; ++i) many += "\"m" + std::to_string(i) + "\":1,";
  EXPECT_FALSE(address_of_record(many + "\"domain\":0,\"bus\":1,\"dev\":0,\"fn\":0}}"));
}

TEST(PciRecord, EveryPrefixOfTheRecordedOneIsHarmless) {
  const std::string whole = recorded();
  std::size_t read = 0;
  for (std::size_t n = 0; n <= whole.size(); ++n) read += address_of_record(whole.substr(0, n)) ? 1 : 0;
  EXPECT_GT(read, 0u);
  EXPECT_LT(read, whole.size());
}

TEST(PciEntry, NameAndRecordAgreeAsARule) {
  PciList list;
  add_entry(list, "pci.0000:01:00.0", recorded());
  EXPECT_EQ(list.plugged, std::vector<PciAddress>{at("0000:01:00.0")});
  EXPECT_TRUE(list.named.empty());
  EXPECT_TRUE(list.problem.empty());
}

TEST(PciEntry, WithoutAReadableRecordTheNameCounts) {
  for (std::optional<std::string_view> record :
       {std::optional<std::string_view>(), std::optional<std::string_view>(""),
        std::optional<std::string_view>("{\"address\":7}")}) {
    PciList list;
    add_entry(list, "pci.0000:26:0c.1", record);
    EXPECT_EQ(list.plugged, std::vector<PciAddress>{at("0000:26:0c.1")});
    EXPECT_FALSE(list.problem.empty());
  }
}

TEST(PciEntry, WhereTheyDisagreeTheRecordIsPluggedAndTheNameIsNotForgotten) {
  PciList list;
  add_entry(list, "pci.0000:26:0c.1", recorded());
  EXPECT_EQ(list.plugged, std::vector<PciAddress>{at("0000:01:00.0")});
  EXPECT_EQ(list.named, std::vector<PciAddress>{at("0000:26:0c.1")});
  EXPECT_FALSE(list.problem.empty());
  PciList odd;
  add_entry(odd, "pci.whatever", recorded());
  EXPECT_EQ(odd.plugged.size(), 1u);
  EXPECT_TRUE(odd.named.empty());
}

TEST(PciEntry, OtherFilesAreNotEntries) {
  PciList list;
  for (const char* name : {"config", "vbd.xvda", "", "pc", ".pci.0000:01:00.0"})
    add_entry(list, name, recorded());
  EXPECT_TRUE(list.plugged.empty() && list.named.empty() && list.problem.empty());
  add_entry(list, "pci.", std::nullopt);
  EXPECT_TRUE(list.plugged.empty());
  EXPECT_FALSE(list.problem.empty());
}

}  // namespace
}  // namespace vnvme::hook
