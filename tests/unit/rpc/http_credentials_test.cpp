// The credentials file: which form it has, and what becomes of it. Whose it may be:
// core/guarded_file_test.cpp.
#include "rpc/http_credentials.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace vnvme::rpc {
namespace {

const std::string kPassword = "s3cret-Passw0rd";

std::string decoded(const std::string& base64) {
  std::string out;
  unsigned bits = 0, count = 0;
  for (char c : base64) {
    if (c == '=') break;
    unsigned six = c >= 'a'   ? c - 'a' + 26u
                   : c >= 'A' ? c - 'A' + 0u
                   : c >= '0' ? c - '0' + 52u
                   : c == '+' ? 62u
                              : 63u;
    bits = bits << 6 | six;
    if ((count += 6) < 8) continue;
    count -= 8;
    out += static_cast<char>(bits >> count & 0xFF);
  }
  return base64.size() % 4 == 0 ? out : "a length of " + std::to_string(base64.size());
}

class Credentials : public testing::Test {
 protected:
  std::string dir, path;
  void SetUp() override {
    char name[] = "/tmp/vnvme-cred-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    dir = name;
    path = dir + "/card";
  }
  void TearDown() override {
    std::error_code ignored;
    std::filesystem::remove_all(dir, ignored);
  }
  void put(const std::string& text, mode_t mode = 0600) {
    std::ofstream(path, std::ios::binary) << text;
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
  }
  std::string header() {
    auto read = read_basic_authorization(path);
    EXPECT_TRUE(read) << read.error().describe();
    return read ? std::string(read->view()) : "";
  }
  Error refused() {
    auto read = read_basic_authorization(path);
    EXPECT_FALSE(read);
    if (read) return {};
    auto said = read.error().describe();
    EXPECT_NE(said.find(path), std::string::npos) << said;
    EXPECT_EQ(said.find(kPassword), std::string::npos) << said;
    return read.error();
  }
};

TEST_F(Credentials, MakeTheHeaderLine) {
  for (const auto* end : {"", "\n", "\r\n"}) {
    put(std::string("Aladdin:open sesame") + end);  // the example of RFC 7617
    EXPECT_EQ(header(), "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n");
  }
  put("user:pass", 0400);
  EXPECT_EQ(header(), "Authorization: Basic dXNlcjpwYXNz\r\n");
  put("u:a:b");  // only the first colon separates
  EXPECT_EQ(header(), "Authorization: Basic dTphOmI=\r\n");
  put("u:");  // an empty password is one
  EXPECT_EQ(header(), "Authorization: Basic dTo=\r\n");
}
// It is encoded where it was read: a byte that is overwritten too early would show here.
TEST_F(Credentials, OfEachLengthSurviveTheEncoding) {
  for (std::size_t length = 2; length <= kCredentialBytes; length += 1 + length / 40) {
    std::string line = "u:";
    while (line.size() < length) line += static_cast<char>('!' + line.size() * 7 % 94);
    put(line + "\n");
    auto text = header();
    ASSERT_TRUE(text.starts_with("Authorization: Basic ") && text.ends_with("\r\n")) << text;
    EXPECT_EQ(decoded(text.substr(21, text.size() - 23)), line);
  }
}
TEST_F(Credentials, OfTheLargestSizeFit) {
  put("u:" + std::string(kCredentialBytes - 2, 'p'));
  EXPECT_EQ(header().size(), 21 + (kCredentialBytes + 2) / 3 * 4 + 2);
  put("u:" + std::string(kCredentialBytes - 1, 'p'));
  EXPECT_EQ(refused().code, Errc::invalid_argument);
}
TEST_F(Credentials, ThatOthersCanReadAreRefused) {
  put("user:" + kPassword, 0644);
  EXPECT_EQ(refused().code, Errc::not_permitted);
}
TEST_F(Credentials, OfAnotherFormAreRefused) {
  for (const auto& text :
       {std::string(), std::string("\n"), kPassword, ":" + kPassword, "u:" + kPassword + "\nx",
        " u:" + kPassword, "u:" + kPassword + " ", "u:\t" + kPassword, "u:\x7F" + kPassword,
        "u:" + kPassword + "\xC3\xBC", "u:" + kPassword + std::string(1, '\0')}) {
    put(text);
    EXPECT_EQ(refused().code, Errc::invalid_argument) << text;
  }
}

}  // namespace
}  // namespace vnvme::rpc
