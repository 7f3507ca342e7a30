// What people read: names of errors, log lines and files, sizes, text from elsewhere.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "core/json.hpp"
#include "core/log.hpp"
#include "core/text.hpp"
#include "vnvme/result.hpp"
#include "vnvme/units.hpp"

namespace vnvme {
namespace {

TEST(Error, EachKindHasItsOwnName) {
  std::set<std::string_view> names;
  int kinds = 0;
  for (int code = 0; code <= static_cast<int>(Errc::internal); ++code, ++kinds)
    names.insert(to_string(static_cast<Errc>(code)));
  EXPECT_EQ(names.size(), static_cast<std::size_t>(kinds));
  EXPECT_EQ(to_string(Errc::too_many_volumes), "too_many_volumes");
  EXPECT_EQ(to_string(Errc::internal), "internal");
  EXPECT_EQ(to_string(static_cast<Errc>(1000)), "internal") << "a code from a newer peer";
  EXPECT_EQ(to_string(Outcome::not_done), "not_done");
  EXPECT_EQ(to_string(Outcome::done), "done");
  EXPECT_EQ(to_string(Outcome::unknown), "unknown");
  EXPECT_EQ(to_string(static_cast<Outcome>(1000)), "unknown");
}

TEST(Error, SaysOnlyWhatItKnows) {
  EXPECT_EQ((Error{.text = "no"}.describe()), "no");
  EXPECT_EQ((Error{.text = "no", .peer = "unix:/x"}.describe()), "no (peer unix:/x)");
  EXPECT_EQ((Error{.text = "no", .native = -5}.describe()), "no (code -5)");
  EXPECT_EQ((Error{.outcome = Outcome::done, .text = "late", .step = "s"}.describe()), "late (step s)");
}

class LogFile : public testing::Test {
 protected:
  std::string path;
  void SetUp() override {
    char name[] = "/tmp/vnvme-log-XXXXXX";
    int fd = mkstemp(name);
    ASSERT_GE(fd, 0);
    close(fd);
    path = name;
  }
  void TearDown() override {
    EXPECT_TRUE(log::setup(log::Level::warning, "-"));
    unlink(path.c_str());
  }
  std::vector<std::string> lines() {
    std::vector<std::string> out;
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) out.push_back(line);
    return out;
  }
};

TEST_F(LogFile, HoldsWhatItsLevelLetsThrough) {
  ASSERT_TRUE(log::setup(log::Level::info, path));
  log::debug("a detail");
  log::info("volume made", {{"volume", std::string("v1")}, {"bytes", std::uint64_t{4096}}, {"thin", true}});
  log::warning("slow", {{"seconds", std::int64_t{-1}}, {"peer", std::string_view("unix:/x")}});
  log::error("gone");
  auto written = lines();
  ASSERT_EQ(written.size(), 3u);
  EXPECT_TRUE(written[0].ends_with(" info volume made volume=v1 bytes=4096 thin=yes")) << written[0];
  EXPECT_TRUE(written[1].ends_with(" warning slow seconds=-1 peer=unix:/x")) << written[1];
  EXPECT_TRUE(written[2].ends_with(" error gone")) << written[2];
}

TEST_F(LogFile, EachLevelLetsThroughWhatIsAsGrave) {
  const std::pair<log::Level, std::size_t> levels[] = {
      {log::Level::debug, 4}, {log::Level::warning, 2}, {log::Level::error, 1}, {log::Level::off, 0}};
  for (auto [level, count] : levels) {
    std::ofstream(path, std::ios::trunc);
    ASSERT_TRUE(log::setup(level, path));
    log::debug("x"), log::info("x"), log::warning("x"), log::error("x");
    ASSERT_TRUE(log::setup(log::Level::off, "-"));  // the file is flushed and closed
    EXPECT_EQ(lines().size(), count);
  }
}

TEST_F(LogFile, APathThatCannotBeWrittenIsAnError) {
  auto failed = log::setup(log::Level::info, path + "/below/a/file");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Errc::io);
  EXPECT_NE(failed.error().text.find(path), std::string::npos);
}

TEST(LogLevel, IsOneOfFiveWords) {
  EXPECT_EQ(log::parse_level("debug"), log::Level::debug);
  EXPECT_EQ(log::parse_level("info"), log::Level::info);
  EXPECT_EQ(log::parse_level("warning"), log::Level::warning);
  EXPECT_EQ(log::parse_level("error"), log::Level::error);
  EXPECT_EQ(log::parse_level("off"), log::Level::off);
  for (const char* other : {"", "Info", "warn", "trace"}) EXPECT_FALSE(log::parse_level(other)) << other;
}

TEST(LogLine, ValuesAreCutAndQuoted) {
  auto line = log::format("x", {{"long", std::string(600, 'a')}, {"no", false}, {"equals", "a=b"}});
  EXPECT_NE(line.find(std::string(512, 'a') + "..."), std::string::npos);
  EXPECT_EQ(line.find(std::string(513, 'a')), std::string::npos);
  EXPECT_TRUE(line.ends_with(" no=no equals=\"a=b\"")) << line;
}

TEST(Sizes, EachUnitForPeople) {
  EXPECT_EQ(human(Bytes{0}), "0 B");
  EXPECT_EQ(human(Bytes{1023}), "1023 B");
  EXPECT_EQ(human(KiB(1)), "1.0 KiB");
  EXPECT_EQ(human(MiB(1536)), "1.5 GiB");
  EXPECT_EQ(human(GiB(2048)), "2.0 TiB");
  EXPECT_EQ(human(kMaxBytes), "8192.0 PiB") << "there is no larger unit";
  EXPECT_EQ(round_up(Bytes{5}, Bytes{0}), Bytes{5});
}

TEST(Sizes, UnitsFromPeople) {
  EXPECT_EQ(parse_bytes("7B").value(), Bytes{7});
  EXPECT_EQ(parse_bytes("2k").value(), KiB(2));
  EXPECT_EQ(parse_bytes("2kib").value(), KiB(2));
  EXPECT_EQ(parse_bytes("3T").value(), GiB(3072));
  EXPECT_EQ(parse_bytes("9223372036854775807").value(), kMaxBytes);
  for (const char* bad : {"9223372036854775808", "99999999999999999999", " 1", "1iB", "1Ki", "8388608T"})
    EXPECT_FALSE(parse_bytes(bad)) << bad;
  EXPECT_EQ(parse_bytes("1 ").value(), Bytes{1});
}

TEST(Text, WhatATerminalMustNotSee) {
  EXPECT_EQ(printable("a\tb\x7f\xff", 99), "a\\tb\\x7f\\xff");
  EXPECT_EQ(printable("", 0), "");
  EXPECT_EQ(split("a,,b", ','), (std::vector<std::string>{"a", "", "b"}));
  EXPECT_EQ(split("", ','), std::vector<std::string>{""});
  EXPECT_EQ(join({"a", "b"}, ", "), "a, b");
  EXPECT_EQ(join({}, ", "), "");
}

TEST(Text, ColumnsOfWideAndCombiningAndBrokenText) {
  EXPECT_EQ(display_width("e\u0301"), 1u);
  EXPECT_EQ(display_width("\u200b"), 0u);
  EXPECT_EQ(display_width("\u20d0\ufe0f"), 0u);
  EXPECT_EQ(display_width("\xff\xff"), 2u) << "shown as two question marks";
  EXPECT_EQ(display_width("\U0001f600\u1100\uac00\uf900\ufe30\uff21\uffe0\U00020000"), 16u);
}

TEST(Text, EveryFormOfBrokenUtf8) {
  for (const char* bad : {"\x80", "\xc1\xbf", "\xc3", "\xe0\x80\x80", "\xe2\x28\xa1", "\xf0\x80\x80\x80",
                          "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xed\xbf\xbf"})
    EXPECT_FALSE(is_utf8(bad));
  for (const char* good : {"", "\x7f", "\xc2\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xf4\x8f\xbf\xbf"})
    EXPECT_TRUE(is_utf8(good)) << good;
  EXPECT_EQ(utf8_prefix("a\xff", 9), "a") << "up to the first broken byte";
}

TEST(JsonText, NumbersAndFlagsInWords) {
  auto v =
      parse_json(R"({"big":18446744073709551615,"neg":"-3","junk":"7x","half":"1.5","yes":"true","n":1})")
          .value();
  EXPECT_EQ(number_of(v, "big"), UINT64_MAX);
  EXPECT_EQ(integer_of(v, "big"), std::nullopt) << "it does not fit";
  EXPECT_EQ(integer_of(v, "neg"), std::nullopt) << "only what is a number";
  EXPECT_EQ(number_of(v, "neg"), std::nullopt);
  EXPECT_EQ(number_of(v, "junk"), std::nullopt);
  EXPECT_EQ(integer_of(v, "half"), std::nullopt);
  EXPECT_EQ(integer_of(v, "n"), 1);
  EXPECT_EQ(flag_of(v, "yes"), true);
  EXPECT_EQ(flag_of(v, "n"), std::nullopt);
  EXPECT_EQ(member(v, "none"), nullptr);
  EXPECT_EQ(dump_json_ascii(Json("\u00e9")), "\"\\u00e9\"");
}

}  // namespace
}  // namespace vnvme
