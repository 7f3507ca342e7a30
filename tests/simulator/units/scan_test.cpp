#include <gtest/gtest.h>

#include "core/json.hpp"
#include "dpusim/scan.hpp"

namespace vnvme::sim {
namespace {

using State = Scan::State;

Scan scan(std::string_view text, std::size_t depth = 64, std::size_t values = 1000) {
  return scan_value(text, depth, values);
}

TEST(Scan, FindsWhereAValueEnds) {
  for (std::string text :
       {R"({"a":[1,-2.5e3,"x\"}",true,false,null],"b":{}})", "[]", "{}", R"("a\\")", "true", "[[],{}]"}) {
    for (std::string before : {"", " \n\t\r"}) {
      auto s = scan(before + text + " {\"next\":1}");
      EXPECT_EQ(s.state, State::complete) << text;
      EXPECT_EQ(s.begin, before.size());
      EXPECT_EQ(s.end, before.size() + text.size());
    }
  }
}

TEST(Scan, EveryPrefixOfAnObjectIsIncomplete) {
  std::string text = R"({"jsonrpc":"2.0","id":12,"params":{"a":[1,2,"\u00e9\\"],"b":null}})";
  for (std::size_t n = 0; n < text.size(); ++n)
    EXPECT_EQ(scan(text.substr(0, n)).state, State::incomplete) << n;
  EXPECT_EQ(scan(text).state, State::complete);
}

TEST(Scan, AnOutermostNumberNeedsNoEnd) {
  EXPECT_EQ(scan("5").state, State::complete);
  EXPECT_EQ(scan("[5").state, State::incomplete);
}

TEST(Scan, RefusesWhatCannotBecomeJson) {
  for (std::string_view text :
       {"this", "}", "]", "{]", "[}", "{\"a\" 1", "{\"a\":}", "{1:2}", "{\"a\":1,}", "[1,]", "[,", "{,",
        "[1 2]", "{\"a\":1 \"b\"", ":", ",", "tru3", "\"a\nb\"", "[1}"})
    EXPECT_EQ(scan(text).state, State::broken) << text;
}

TEST(Scan, AgreesWithTheParserOnWholeValues) {
  for (std::string_view text : {"{\"a\":1}", "[1,2]", "{\"a\":1,}", "[1 2]", "nul", "{}{}", "\"x\""}) {
    auto s = scan(text);
    bool whole = s.state == State::complete && s.end == text.size();
    EXPECT_EQ(whole, parse_json(text).has_value()) << text;
  }
}

TEST(Scan, HoldsItsLimits) {
  EXPECT_EQ(scan("[[[]]]", 3).state, State::complete);
  EXPECT_EQ(scan("[[[[]]]]", 3).state, State::broken);
  // two ends of the object, one name, one value
  EXPECT_EQ(scan(R"({"a":1})", 64, 4).state, State::complete);
  EXPECT_EQ(scan(R"({"a":1})", 64, 3).state, State::broken);
}

TEST(Scan, TellsOfARepeatedOutermostMember) {
  EXPECT_TRUE(scan(R"({"id":1,"id":2})").repeated_member);
  EXPECT_FALSE(scan(R"({"id":1,"params":{"a":1,"a":2}})").repeated_member);
  EXPECT_FALSE(scan(R"({"id":1,"ID":2})").repeated_member);
}

}  // namespace
}  // namespace vnvme::sim
