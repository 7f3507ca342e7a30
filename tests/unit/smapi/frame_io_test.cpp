#include "smapi/frame_io.hpp"

#include <gtest/gtest.h>

namespace vnvme::smapi {
namespace {

const std::string kId = "99999999-2222-4333-8444-555555555555";

FrameHeader a_header() {
  return FrameHeader{RequestId(kId), "Volume.stat", "vnvme", "0.1.0", 8000};
}

TEST(FrameHeaderText, WhatIsWrittenReadsBack) {
  auto text = encode_header(a_header());
  EXPECT_EQ(text, "id=" + kId + "\nmethod=Volume.stat\nsr_type=vnvme\ndeadline_ms=8000\nversion=0.1.0\n");
  auto back = parse_header(text, true);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->id.value, kId);
  EXPECT_EQ(back->method, "Volume.stat");
  EXPECT_EQ(back->sr_type, "vnvme");
  EXPECT_EQ(back->version, "0.1.0");
  EXPECT_EQ(back->deadline_ms, 8000u);
}

TEST(FrameHeaderText, ThePrintingFrameHasTheIdAlone) {
  FrameHeader only{RequestId(kId), {}, {}, {}, 0};
  EXPECT_EQ(encode_header(only), "id=" + kId + "\n");
  EXPECT_TRUE(parse_header(encode_header(only), false));
  EXPECT_FALSE(parse_header(encode_header(only), true));
}

TEST(FrameHeaderText, WhatANewerFrontEndAddsIsIgnored) {
  EXPECT_TRUE(parse_header(encode_header(a_header()) + "colour=green\n", true));
}

TEST(FrameHeaderText, EveryDefectIsRefused) {
  auto good = encode_header(a_header());
  const std::string bad[] = {"",
                             "\n",
                             "id\n",
                             "=x\n",
                             good + "id=" + kId + "\n",
                             good + "method=SR.ls\n",
                             good + "version=2\n",
                             good + "deadline_ms=1\n",
                             good + "sr_type=x\n",
                             good.substr(0, good.size() - 1),
                             "id=no-uuid\nmethod=a\ndeadline_ms=1\n",
                             "id=" + kId + "\nmethod=a\n",
                             "id=" + kId + "\ndeadline_ms=1\n",
                             "method=a\ndeadline_ms=1\n",
                             "id=" + kId + "\nmethod=a\ndeadline_ms=\n",
                             "id=" + kId + "\nmethod=a\ndeadline_ms=-1\n",
                             "id=" + kId + "\nmethod=a\ndeadline_ms=4294967296\n",
                             "id=" + kId + "\nmethod=a b\ndeadline_ms=1\n",
                             "id=" + kId + "\nmethod=\xC3\xAF\ndeadline_ms=1\n",
                             "id=" + kId + "\nmethod=" + std::string(257, 'x') + "\ndeadline_ms=1\n",
                             good + std::string(frame::kHeaderLimit, 'x') + "\n"};
  for (const auto& text : bad) {
    auto result = parse_header(text, true);
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().code, Errc::protocol);
  }
}

TEST(FramePrefix, WhatIsWrittenReadsBack) {
  auto bytes = encode_frame(frame::Type::result, frame::kNeedsWord, "id=x\n", "{}");
  ASSERT_EQ(bytes.size(), 16u + 5 + 2);
  auto p = parse_prefix(std::string_view(bytes).substr(0, 16));
  ASSERT_TRUE(p);
  EXPECT_EQ(p->type, 2);
  EXPECT_EQ(p->flags, frame::kNeedsWord);
  EXPECT_EQ(p->header_len, 5u);
  EXPECT_EQ(p->body_len, 2u);
  EXPECT_EQ(bytes.substr(16), "id=x\n{}");
}

TEST(FramePrefix, ForeignOrOversizedFramesAreRefusedInWords) {
  auto prefix = [](frame::Type type, std::uint32_t header, std::uint32_t body) {
    auto p = frame::make_prefix(type, 0, header, body);
    return std::string(reinterpret_cast<const char*>(&p), sizeof p);
  };
  EXPECT_TRUE(parse_prefix(prefix(frame::Type::call, frame::kHeaderLimit, frame::kBodyLimit)));
  EXPECT_FALSE(parse_prefix(prefix(frame::Type::call, frame::kHeaderLimit + 1, 0)));
  EXPECT_FALSE(parse_prefix(prefix(frame::Type::call, 0, frame::kBodyLimit + 1)));
  EXPECT_TRUE(parse_prefix(prefix(frame::Type::result, 0, frame::kAnswerLimit), frame::kAnswerLimit));
  EXPECT_FALSE(parse_prefix(prefix(static_cast<frame::Type>(0), 0, 0)));
  EXPECT_FALSE(parse_prefix(prefix(static_cast<frame::Type>(6), 0, 0)));
  EXPECT_FALSE(parse_prefix("GET / HTTP/1.1\r\n"));
  EXPECT_FALSE(parse_prefix("VNV1"));
  EXPECT_FALSE(parse_prefix(""));
  auto reserved = prefix(frame::Type::call, 0, 0);
  reserved[6] = 1;
  EXPECT_FALSE(parse_prefix(reserved));
}

}  // namespace
}  // namespace vnvme::smapi
