#include "daemon/request_runs.hpp"

#include <gtest/gtest.h>

namespace vnvme::daemon {
namespace {

TEST(ObjectOf, FindsWhatTheCallIsAbout) {
  EXPECT_EQ(object_of(R"({"sr":"s","key":"k","dbg":"d"})"), "k");
  EXPECT_EQ(object_of(R"({"uri": "vnvme:///a/b","domain":"7"})"), "vnvme:///a/b");
  EXPECT_EQ(object_of(R"({"name":"\"key\":\"forged\"","sr":"s"})"), "s");
  EXPECT_EQ(object_of(R"({"key":7})"), "");
  EXPECT_EQ(object_of(R"({"key":")"), "");
  EXPECT_EQ(object_of(""), "");
  EXPECT_LE(object_of("{\"key\":\"" + std::string(5000, 'x') + "\"}").size(), 200u);
}

}  // namespace
}  // namespace vnvme::daemon
