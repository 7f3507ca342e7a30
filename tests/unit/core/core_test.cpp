#include <gtest/gtest.h>

#include "core/json.hpp"
#include "core/log.hpp"
#include "core/text.hpp"
#include "vnvme/ids.hpp"
#include "vnvme/time.hpp"
#include "vnvme/units.hpp"

namespace vnvme {
namespace {

TEST(Ids, OnlyCanonicalUuidsPass) {
  EXPECT_EQ(parse_uuid("6C84B44C-A61B-41A4-8B19-32AB643B57D9"), "6c84b44c-a61b-41a4-8b19-32ab643b57d9");
  for (auto bad :
       {"", "6c84b44c", "6c84b44c-a61b-41a4-8b19-32ab643b57d", "6c84b44c-a61b-41a4-8b19-32ab643b57d9x",
        "6c84b44ca61b-41a4-8b19-32ab643b57d90", "gc84b44c-a61b-41a4-8b19-32ab643b57d9"})
    EXPECT_FALSE(parse_uuid(bad)) << bad;
  auto made = random_uuid();
  EXPECT_EQ(parse_uuid(made), made);
  EXPECT_EQ(made[14], '4');
  EXPECT_NE(random_uuid(), made);
  EXPECT_EQ(uuid_from_hex(uuid_hex(made)), made);
}

TEST(Units, RoundingNeverShrinksAndNeverWraps) {
  EXPECT_EQ(round_up(MiB(5), MiB(4)), MiB(8));
  EXPECT_EQ(round_up(MiB(8), MiB(4)), MiB(8));
  EXPECT_EQ(round_up(Bytes{0}, MiB(4)), Bytes{0});
  EXPECT_LE(round_up(kMaxBytes, MiB(4)).value, kMaxBytes.value);
  EXPECT_EQ((MiB(1) - MiB(2)).value, 0u);
}

TEST(Units, PeopleWriteSizes) {
  EXPECT_EQ(parse_bytes("20GiB").value(), GiB(20));
  EXPECT_EQ(parse_bytes("20G").value(), GiB(20));
  EXPECT_EQ(parse_bytes("4096").value(), Bytes{4096});
  EXPECT_EQ(parse_bytes("512 MiB").value(), MiB(512));
  for (auto bad : {"", "x", "-1", "1.5GiB", "20XiB", "20GB", "99999999999T"})
    EXPECT_FALSE(parse_bytes(bad)) << bad;
  EXPECT_EQ(human(GiB(20)), "20.0 GiB");
  EXPECT_EQ(human(Bytes{512}), "512 B");
}

TEST(JsonText, EveryLimitIsRefusedInWords) {
  JsonLimits small{.bytes = 100, .depth = 3, .values = 5, .string_bytes = 4};
  EXPECT_TRUE(parse_json(R"({"a":[1]})", small));
  EXPECT_NE(parse_json(std::string(101, ' '), small).error().text.find("bytes"), std::string::npos);
  EXPECT_NE(parse_json("[[[[1]]]]", small).error().text.find("deeper"), std::string::npos);
  EXPECT_NE(parse_json("[1,2,3,4,5]", small).error().text.find("values"), std::string::npos);
  EXPECT_NE(parse_json(R"(["abcde"])", small).error().text.find("string"), std::string::npos);
  EXPECT_NE(parse_json(R"({"abcde":1})", small).error().text.find("string"), std::string::npos);
}

TEST(JsonText, OneValueAndNothingElse) {
  for (auto bad : {"", "{", "{}x", "{} {}", "nul", "[1,]", "\"\xff\"", "{\"a\" 1}"})
    EXPECT_FALSE(parse_json(bad)) << bad;
  EXPECT_TRUE(parse_json(" null\n"));
  std::string deep(100000, '[');
  EXPECT_FALSE(parse_json(deep));
}

TEST(JsonText, ANulByteDoesNotHideWhatFollows) {
  using std::literals::operator""sv;
  for (auto bad : {"1\0"sv, "1\0 2"sv, "{}\0\xff"sv, "\0{}"sv, "{\"a\0\":1}"sv, "\0"sv})
    EXPECT_EQ(parse_json(bad).error().code, Errc::protocol) << bad;
  EXPECT_TRUE(parse_json(R"("\u0000")"));
}

TEST(JsonText, ReadersTolerateDriftAndNothingElse) {
  auto v = parse_json(R"({"s":"x","n":7,"ns":"8","neg":-1,"t":true,"ts":"false","z":null,"f":1.5})").value();
  EXPECT_EQ(text_of(v, "s"), "x");
  EXPECT_EQ(text_of(v, "n"), std::nullopt);
  EXPECT_EQ(number_of(v, "n"), 7u);
  EXPECT_EQ(number_of(v, "ns"), 8u);
  EXPECT_EQ(number_of(v, "neg"), std::nullopt);
  EXPECT_EQ(number_of(v, "f"), std::nullopt);
  EXPECT_EQ(integer_of(v, "neg"), -1);
  EXPECT_EQ(flag_of(v, "t"), true);
  EXPECT_EQ(flag_of(v, "ts"), false);
  EXPECT_EQ(flag_of(v, "s"), std::nullopt);
  EXPECT_EQ(text_of(v, "z"), std::nullopt);
  EXPECT_EQ(text_of(Json::array(), "z"), std::nullopt);
  EXPECT_EQ(dump_json(Json("\xff")), "\"\xEF\xBF\xBD\"");
}

TEST(Text, Utf8) {
  EXPECT_TRUE(is_utf8("dïsk ☃ 💾"));
  EXPECT_FALSE(is_utf8("\xc0\x80"));
  EXPECT_FALSE(is_utf8("\xed\xa0\x80"));
  EXPECT_FALSE(is_utf8("\xe2\x98"));
  EXPECT_EQ(utf8_prefix("ab☃", 4), "ab");
  EXPECT_EQ(utf8_prefix("ab☃", 5), "ab☃");
  EXPECT_EQ(printable("a\nb\x01", 99), "a\\nb\\x01");
  EXPECT_EQ(printable("abcdef", 3), "abc...");
  EXPECT_EQ(display_width("dïsk ☃"), 6u);
  EXPECT_EQ(display_width("日本"), 4u);
}

TEST(Log, OneLineWhateverTheValuesHold) {
  EXPECT_EQ(log::format("made", {{"name", "a b\n\"c\""}, {"n", 3}}), "made name=\"a b\\n\\\"c\\\"\" n=3");
  EXPECT_EQ(log::format("x", {{"empty", ""}}), "x empty=\"\"");
}

TEST(Clock, StandsStillUntilMoved) {
  MonoClock::take_over();
  auto d = Deadline::after(std::chrono::seconds(5));
  EXPECT_FALSE(d.passed());
  MonoClock::advance(std::chrono::hours(1));
  EXPECT_TRUE(d.passed());
  EXPECT_EQ(d.left().count(), 0);
  MonoClock::release();
}

TEST(Error, SaysWhatWhereAndHowSure) {
  Error e{Errc::timeout, Outcome::unknown, "no answer in 10 s", "bdev_lvol_create", "unix:/x", -110};
  EXPECT_EQ(e.describe(),
            "no answer in 10 s (step bdev_lvol_create, peer unix:/x, code -110, outcome unknown)");
}

}  // namespace
}  // namespace vnvme
