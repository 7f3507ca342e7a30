// The form of /run/vnvme/reservations: what is written is read back, and nothing else is read.
#include "vnvme/reservation_text.hpp"

#include <gtest/gtest.h>

namespace vnvme::gate {
namespace {

const std::string kVm = "3f0c4d8e-0f6b-4c55-9d1e-7a7f5a1b2c3d";

PciAddress at(std::string_view text) {
  return parse_pci_address(text).value();
}

Reservations sample() {
  return {"b00t",
          {{at("0000:26:0c.1"), kVm, "tcp:192.168.100.2:5260", "MT2328XZ17DF VF 2%"},
           {at("0000:26:0c.2"), "", "unix:/a b\n\x01\xff", "nqn.2016-06.io.spdk:x"}},
          {{kVm, Why::unseen, "tcp:[fe80::1]:5260"}, {"-", Why::opening, "-"}, {kVm, Why::gone, "d"}}};
}

TEST(PciAddress, IsReadAndWrittenInXapisForm) {
  for (const char* text : {"0000:00:00.0", "0000:26:0c.1", "ffff:ff:1f.7", "0001:80:10.3"}) {
    ASSERT_TRUE(parse_pci_address(text)) << text;
    EXPECT_EQ(to_text(*parse_pci_address(text)), text);
  }
  EXPECT_EQ(to_text(at("ABCD:EF:1A.7")), "abcd:ef:1a.7");
  for (const char* text : {"", "26:0c.1", "0000:26:0c.8", "0000:26:20.0", "0000:26:0c.", "0000:26:0c.1 ",
                           " 0000:26:0c.1", "0000-26:0c.1", "0000:26-0c.1", "0000:26:0c:1", "000g:26:0c.1",
                           "0000:+6:0c.1", "10000:26:0c.1", "0000:26:0c.-"})
    EXPECT_FALSE(parse_pci_address(text)) << text;
  EXPECT_EQ(make_pci_address(0, 0x26, 12, 1), at("0000:26:0c.1"));
  EXPECT_FALSE(make_pci_address(0x10000, 0, 0, 0));
  EXPECT_FALSE(make_pci_address(0, 256, 0, 0));
  EXPECT_FALSE(make_pci_address(0, 0, 32, 0));
  EXPECT_FALSE(make_pci_address(0, 0, 0, 8));
  EXPECT_FALSE(make_pci_address(~std::uint64_t{0}, 0, 0, 0));
}

TEST(ReservationText, WhatIsWrittenIsReadBack) {
  auto text = encode(sample());
  ASSERT_TRUE(text);
  auto back = decode(*text);
  ASSERT_TRUE(back.value) << back.problem;
  EXPECT_EQ(*back.value, sample());
  EXPECT_EQ(encode(*back.value), text);
  EXPECT_EQ(text->find_first_of("\x01\xff\t"), std::string::npos) << "one line a row, whatever the names are";
  Reservations none{"b", {}, {}};
  EXPECT_EQ(encode(none), "vnvme-reservations 1\nboot b\nend 0\n");
  EXPECT_EQ(decode(*encode(none)).value, none);
}

TEST(ReservationText, EveryCutAndEveryDroppedLineIsSeen) {
  const std::string text = encode(sample()).value();
  for (std::size_t n = 0; n < text.size(); ++n) EXPECT_FALSE(decode(text.substr(0, n)).value) << n;
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = text.find('\n', begin) + 1;
    EXPECT_FALSE(decode(text.substr(0, begin) + text.substr(end)).value) << "without the line at " << begin;
    begin = end;
  }
}

TEST(ReservationText, HostileFilesAreRefusedWithTheirLine) {
  const std::string head = "vnvme-reservations 1\nboot b\n";
  const struct {
    std::string text;
    const char* problem;
  } cases[] = {
      {"", "does not begin"},
      {"\n", "does not begin"},
      {std::string(100, '\0'), "does not begin"},
      {"vnvme-reservations 1", "does not begin"},
      {"vnvme-reservations  1\nboot b\nend 0\n", "does not begin"},
      {"vnvme-reservations 2\nboot b\nend 0\n", "another version"},
      {"vnvme-reservations 1\nboot\nend 0\n", "line 2"},
      {"vnvme-reservations 1\nboot \nend 0\n", "line 2"},
      {"vnvme-reservations 1\nboot a b\nend 0\n", "line 2"},
      {head, "ends before"},
      {head + "end 1\n", "line 3"},
      {head + "end 00\n", "line 3"},
      {head + "end 0 \n", "line 3"},
      {head + "end 0\nend 0\n", "follows"},
      {head + "end 0\nx", "follows"},
      {head + "\nend 0\n", "line 3"},
      {head + "novel x\nend 1\n", "line 3"},
      {head + "function 0000:26:0c.1 - d\nend 1\n", "line 3"},
      {head + "function 0000:26:0c.1 - d f x\nend 1\n", "line 3"},
      {head + "function 26:0c.1 - d f\nend 1\n", "line 3"},
      {head + "function 0000:26:0c.1 -  f\nend 1\n", "line 3"},
      {head + "function 0000:26:0c.1  d f\nend 1\n", "line 3"},
      {head + "function 0000:26:0c.1 - d %\nend 1\n", "line 3"},
      {head + "function 0000:26:0c.1 - d %4\nend 1\n", "line 3"},
      {head + "function 0000:26:0c.1 - d %4g\nend 1\n", "line 3"},
      {head + "function 0000:26:0c.1 - d \xc3\xa9\nend 1\n", "line 3"},
      {head + "awaited v late d\nend 1\n", "line 3"},
      {head + "awaited v gone\nend 1\n", "line 3"},
      {head + "awaited v gone d e\nend 1\n", "line 3"},
      {head + "function 0000:26:0c.1 - d f\r\nend 1\n", "line 3"},
      {head + "function 0000:26:0c.1 - d " + std::string(kWordLimit + 1, 'f') + "\nend 1\n", "line 3"},
      {std::string(kFileLimit + 1, 'x'), "larger"},
  };
  for (const auto& c : cases) {
    auto got = decode(c.text);
    EXPECT_FALSE(got.value) << c.text.substr(0, 200);
    EXPECT_NE(got.problem.find(c.problem), std::string::npos)
        << c.text.substr(0, 200) << " -> " << got.problem;
  }
}

TEST(ReservationText, LimitsHoldOnBothSides) {
  Reservations many{"b", {}, {}};
  for (std::size_t i = 0; i < kMostRows; ++i)
    many.functions.push_back(
        {{static_cast<std::uint32_t>(i)}, kVm, "tcp:192.168.100.2:5260", "VF" + std::to_string(i)});
  auto text = encode(many);
  ASSERT_TRUE(text) << "the most rows, with names of usual length";
  EXPECT_EQ(decode(*text).value, many);
  many.awaited.push_back({kVm, Why::gone, "d"});
  EXPECT_FALSE(encode(many));
  std::string more = *text;
  more.insert(more.rfind("end"), "awaited v gone d\n");
  more.replace(more.rfind("end"), std::string::npos, "end " + std::to_string(kMostRows + 1) + "\n");
  EXPECT_FALSE(decode(more).value);
  const Reservations bad[] = {{"", {}, {}},
                              {"b", {{{0}, "", "", "f"}}, {}},
                              {"b", {{{0}, "", "d", ""}}, {}},
                              {"b", {}, {{"", Why::gone, "d"}}},
                              {std::string(kWordLimit + 1, 'b'), {}, {}}};
  for (const Reservations& r : bad) EXPECT_FALSE(encode(r)) << "an empty or endless name";
  Reservations longest{"b", {{{0}, "", std::string(kWordLimit, '\n'), "f"}}, {}};
  EXPECT_EQ(decode(encode(longest).value()).value, longest);
}

}  // namespace
}  // namespace vnvme::gate
