// The verdict, as a table: who may start, who may not, and what the sentence says (I4).
#include "hook/gate.hpp"

#include <gtest/gtest.h>

namespace vnvme::hook {
namespace {

using gate::Why;
const std::string kMine = "aaaaaaaa-0000-4000-8000-000000000001";
const std::string kOther = "bbbbbbbb-0000-4000-8000-000000000002";
const std::string kBoot = "b00t";

// Functions: .0 reserved for kMine, .1 for kOther, .2 for nobody; on a second DPU 27:00.0 for kMine.
File known(bool two_dpus = false) {
  File file;
  file.state = File::State::whole;
  file.boot = kBoot;
  file.content.boot = kBoot;
  auto at = [](const char* text) { return *gate::parse_pci_address(text); };
  file.content.functions = {{at("0000:26:0c.0"), kMine, "tcp:10.0.0.2:5260", "VF0"},
                            {at("0000:26:0c.1"), kOther, "tcp:10.0.0.2:5260", "VF1"},
                            {at("0000:26:0c.2"), "", "tcp:10.0.0.2:5260", "VF2"}};
  if (two_dpus) file.content.functions.push_back({at("0000:27:00.0"), kMine, "unix:/second", "F"});
  return file;
}

PciList list_of(std::initializer_list<const char*> addresses) {
  PciList list;
  list.known = true;
  for (const char* text : addresses) list.plugged.push_back(*gate::parse_pci_address(text));
  return list;
}

// The sentence is one line, tells the VM, and names each of `words`.
void expect(const Verdict& got, int code, std::initializer_list<const char*> words) {
  EXPECT_EQ(got.code, code) << got.sentence << got.note;
  EXPECT_EQ(got.sentence.empty(), code == kStart);
  EXPECT_EQ(got.sentence.find('\n'), std::string::npos);
  EXPECT_LT(got.sentence.size(), 800u);
  for (const char* word : words)
    EXPECT_NE(got.sentence.find(word), std::string::npos) << word << ": " << got.sentence;
}

TEST(Gate, CodesThatStopAreNotThoseThatXenopsdPasses) {
  for (int code : {kStranger, kAwaited, kLacking, kStale}) EXPECT_GT(code, kStartAndLog);
}

TEST(Gate, TheTableOfLists) {
  const std::string none = "cccccccc-0000-4000-8000-000000000003";
  const struct {
    const std::string& vm;
    std::initializer_list<const char*> list;
    int code;
    const char* word;
  } cases[] = {
      {kMine, {"0000:26:0c.0"}, kStart, ""},
      {kMine, {"0000:01:00.0", "0000:26:0c.0", "0000:02:00.0"}, kStart, ""},
      {kMine, {}, kLacking, "0000:26:0c.0"},
      {kMine, {"0000:01:00.0"}, kLacking, "0000:26:0c.0"},
      {kMine, {"0000:26:0c.0", "0000:26:0c.1"}, kStranger, kOther.c_str()},
      {kMine, {"0000:26:0c.1"}, kStranger, "0000:26:0c.1"},
      {kMine, {"0000:26:0c.0", "0000:26:0c.2"}, kStranger, "reserved for no VM"},
      {kOther, {"0000:26:0c.0"}, kStranger, kMine.c_str()},
      {none, {}, kStart, ""},
      {none, {"0000:01:00.0", "0000:26:0c.3"}, kStart, ""},
      {none, {"0000:01:00.0", "0000:26:0c.0"}, kStranger, "would be reset"},
      {none, {"0000:26:0c.2"}, kStranger, "other-config:pci"},
  };
  for (const auto& c : cases) expect(decide(c.vm, known(), list_of(c.list)), c.code, {c.word});
}

TEST(Gate, AVmThatHasNothingOfOursIsNeverHeld) {
  const std::string vm = "cccccccc-0000-4000-8000-000000000003";
  std::vector<PciList> lists{list_of({}), list_of({"0000:01:00.0"}), PciList{}};
  lists.back().problem = "unreadable";
  std::vector<File> files(4);
  files[0].state = File::State::absent;
  files[1].state = File::State::unusable;
  files[1].problem = "line 7 cannot be read";
  files[2] = known();
  files[3] = known();
  files[3].content.boot = "an earlier one";
  for (const File& file : files)
    for (const PciList& list : lists) {
      auto got = decide(vm, file, list);
      expect(got, kStart, {});
      bool whole = file.state == File::State::whole && file.content.boot == file.boot;
      EXPECT_EQ(got.note.empty(), whole) << "what is wrong with the file is in the log";
    }
}

TEST(Gate, WithoutAUsableFileEverybodyStarts) {
  for (auto state : {File::State::absent, File::State::unusable}) {
    File file = known();
    file.state = state;
    auto got = decide(kMine, file, list_of({"0000:26:0c.1"}));
    expect(got, kStart, {});
    EXPECT_FALSE(got.note.empty());
  }
}

TEST(Gate, AllDpusOfAVmCount) {
  expect(decide(kMine, known(true), list_of({"0000:27:00.0", "0000:26:0c.0"})), kStart, {});
  expect(decide(kMine, known(true), list_of({"0000:26:0c.0"})), kLacking, {"0000:27:00.0"});
  expect(decide(kMine, known(true), list_of({})), kLacking, {"0000:26:0c.0, 0000:27:00.0"});
  expect(decide(kOther, known(true), list_of({"0000:26:0c.1", "0000:27:00.0"})), kStranger, {"0000:27:00.0"});
}

TEST(Gate, AnAddressThatTwoDpusClaimIsNobodysForCertain) {
  File file = known();
  file.content.functions.push_back({*gate::parse_pci_address("0000:26:0c.0"), kOther, "unix:/second", "F"});
  expect(decide(kMine, file, list_of({"0000:26:0c.0"})), kStranger, {kOther.c_str()});
}

TEST(Gate, AFunctionWithoutAKnownAddressHoldsItsVmOnly) {
  const struct {
    Why why;
    const char* word;
  } cases[] = {{Why::opening, "vnvme events"}, {Why::unseen, "vnvme dpu"}, {Why::gone, "vnvme functions"}};
  for (const auto& c : cases) {
    File file;
    file.state = File::State::whole;
    file.boot = file.content.boot = kBoot;
    file.content.awaited = {{kMine, c.why, "tcp:10.0.0.2:5260"}};
    expect(decide(kMine, file, list_of({})), kAwaited, {c.word, "tcp:10.0.0.2:5260", kMine.c_str()});
    expect(decide(kMine, file, PciList{}), kAwaited, {c.word});
    expect(decide(kOther, file, list_of({"0000:26:0c.0"})), kStart, {});
  }
  // What would destroy data is told first.
  File file = known();
  file.content.awaited = {{kMine, Why::opening, "d"}};
  expect(decide(kMine, file, list_of({"0000:26:0c.1"})), kStranger, {});
}

TEST(Gate, AfterARebootOldAddressesProveNothing) {
  File file = known();
  file.content.boot = "an earlier one";
  expect(decide(kMine, file, list_of({"0000:26:0c.0"})), kStale, {"systemctl start vnvmed", kMine.c_str()});
  file.content.functions.clear();
  expect(decide(kMine, file, list_of({"0000:26:0c.0"})), kStart, {});
  file.content.awaited = {{kMine, Why::unseen, "d"}};
  expect(decide(kMine, file, list_of({})), kStale, {});
  // The host's own boot id cannot be read: it may be another one.
  File blind = known();
  blind.boot.clear();
  expect(decide(kMine, blind, list_of({"0000:26:0c.0"})), kStale, {});
}

TEST(Gate, WithoutXenopsdsListNothingIsComparedAndTheLogSaysSo) {
  PciList blind;
  blind.problem = "no record";
  auto got = decide(kMine, known(), blind);
  expect(got, kStart, {});
  EXPECT_NE(got.note.find("no record"), std::string::npos);
  EXPECT_TRUE(decide("cccccccc-0000-4000-8000-000000000003", known(), blind).note.empty());
}

TEST(Gate, AnEntryWhoseNameAndRecordDisagreeCountsTwiceAgainstIt) {
  PciList list = list_of({"0000:26:0c.0"});
  list.named.push_back(*gate::parse_pci_address("0000:26:0c.1"));
  list.problem = "odd";
  expect(decide(kMine, known(), list), kStranger, {"0000:26:0c.1"});
  // What is only named is not plugged.
  PciList named = list_of({});
  named.named.push_back(*gate::parse_pci_address("0000:26:0c.0"));
  expect(decide(kMine, known(), named), kLacking, {});
  PciList foreign = list_of({"0000:26:0c.0"});
  foreign.problem = "odd";
  EXPECT_EQ(decide(kMine, known(), foreign).note, "odd");
}

TEST(Gate, SentencesStayOneShortLineWhateverTheNamesAre) {
  File file = known();
  file.content.functions[1].vm = "x\n\x1b[31m" + std::string(10000, 'y');
  expect(decide(kMine, file, list_of({"0000:26:0c.1"})), kStranger, {"x??[31m"});
  file.content.awaited = {{kMine, Why::gone, std::string(5000, '\n')}};
  expect(decide(kMine, file, list_of({})), kAwaited, {"DPU ????"});
  File many = known();
  for (unsigned i = 0; i < 1000; ++i) many.content.functions.push_back({{i}, kMine, "d", "f"});
  expect(decide(kMine, many, list_of({})), kLacking, {"0000:26:0c.0, 0000:00:00.0"});
}

}  // namespace
}  // namespace vnvme::hook
