#include "smapi/encode.hpp"

#include <gtest/gtest.h>

#include "core/json.hpp"
#include "smapi/writer.hpp"
#include "unit/smapi/fake_handler.hpp"

namespace vnvme::smapi::testing {
namespace {

TEST(Writer, WhatItWritesReadsBack) {
  std::string all;
  for (int c = 0; c < 128; ++c) all += static_cast<char>(c);
  all += "\xC3\xAF\xE2\x98\x83\xF0\x9F\x92\xBE";
  auto back = parse_json(encode_text(all));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->get<std::string>(), all);
}

TEST(Writer, BytesThatAreNoTextAreReplaced) {
  for (const std::string& bad :
       {std::string("a\xFF"
                    "b"),
        std::string("\xE2\x98"), std::string("\xC0\x80"), std::string("\xED\xA0\x80x")}) {
    auto text = encode_text(bad);
    ASSERT_TRUE(parse_json(text)) << text;
    EXPECT_NE(text.find("\xEF\xBF\xBD"), std::string::npos);
  }
  EXPECT_EQ(encode_text("a\xFF"
                        "b"),
            "\"a\xEF\xBF\xBD"
            "b\"");
}

TEST(Writer, CommasStandBetweenAndNowhereElse) {
  JsonWriter w;
  w.begin_array();
  w.value(true);
  w.begin_object();
  w.end_object();
  w.begin_object();
  w.member("a", std::int64_t{-1});
  w.key("b");
  w.begin_array();
  w.end_array();
  w.key("c");
  w.null();
  w.end_object();
  w.value("x");
  w.end_array();
  EXPECT_EQ(w.take(), R"([true,{},{"a":-1,"b":[],"c":null},"x"])");
}

TEST(Encode, SizesNeverBecomeNegativeForXapi) {
  Volume v = a_volume();
  v.virtual_size = Bytes{UINT64_MAX};
  EXPECT_NE(encode_volume(v).find("\"virtual_size\":9223372036854775807,"), std::string::npos);
}

TEST(Encode, NothingIsEverNull) {
  Probe found;
  found.configuration = {{"dpu", "d"}};
  EXPECT_EQ(encode_probe({found}), R"([{"configuration":{"dpu":"d"},"complete":false,"extra_info":{}}])");
  found.complete = true;
  found.sr = a_stat();
  auto json = parse_json(encode_probe({found, found}));
  ASSERT_TRUE(json);
  EXPECT_EQ(json->size(), 2u);
  EXPECT_EQ((*json)[1]["sr"]["uuid"], kSr);
  EXPECT_EQ(encode_probe({}), "[]");
  EXPECT_EQ(encode_volumes({}), "[]");
  EXPECT_EQ(encode_configuration({}), "{}");
  EXPECT_EQ(encode_backend({}), R"({"implementations":[]})");
}

TEST(Encode, AListIsItsVolumesAndGrowsLinearly) {
  std::vector<Volume> many(1000, a_volume());
  auto one = encode_volumes({a_volume()}).size() - 2;
  EXPECT_EQ(encode_volumes(many).size(), 1000 * one + 999 + 2);
}

}  // namespace
}  // namespace vnvme::smapi::testing
