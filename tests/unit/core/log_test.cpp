#include "core/log.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <thread>

namespace vnvme {
namespace {

class LogTarget : public ::testing::Test {
 protected:
  LogTarget() {
    std::string pattern = ::testing::TempDir() + "vnvme-log-XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  ~LogTarget() override {
    EXPECT_TRUE(log::setup(log::Level::warning, "-"));
    std::filesystem::remove_all(folder_);
  }
  [[nodiscard]] std::string file(const std::string& name) const { return folder_ / name; }
  std::vector<std::string> lines(const std::string& name) {
    std::ifstream in(file(name));
    std::vector<std::string> all;
    for (std::string line; std::getline(in, line);) all.push_back(line);
    return all;
  }

 private:
  std::filesystem::path folder_;
};

TEST_F(LogTarget, SaysWhatItsLevelLetsThrough) {
  ASSERT_TRUE(log::setup(log::Level::warning, file("log")));
  log::info("too little", {});
  log::error("written", {{"path", "a b"}});
  log::set_level(log::Level::info);
  log::info("now enough", {});
  auto all = lines("log");
  ASSERT_EQ(all.size(), 2u);
  EXPECT_NE(all[0].find("written path=\"a b\""), std::string::npos) << all[0];
  EXPECT_NE(all[1].find("now enough"), std::string::npos) << all[1];
}

TEST_F(LogTarget, AFileThatCannotBeOpenedLeavesTheFormerOne) {
  ASSERT_TRUE(log::setup(log::Level::info, file("log")));
  auto refused = log::setup(log::Level::info, "/dev/null/log");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().text.find("/dev/null/log"), std::string::npos);
  log::info("still here", {});
  EXPECT_EQ(lines("log").size(), 1u);
}

// SIGHUP while the thread of the state file writes: no line is lost or torn, and nothing is used after its
// end.
TEST_F(LogTarget, MayBeReplacedWhileAnotherThreadWrites) {
  constexpr int kLines = 2000, kTurns = 200;
  ASSERT_TRUE(log::setup(log::Level::info, file("a")));
  std::thread writer([] {
    for (int i = 0; i < kLines; ++i) log::info("line", {{"n", i}});
  });
  for (int i = 0; i < kTurns; ++i) EXPECT_TRUE(log::setup(log::Level::info, file(i % 2 ? "a" : "b")));
  writer.join();
  std::size_t found = 0;
  for (const char* name : {"a", "b"})
    for (const std::string& line : lines(name)) {
      EXPECT_NE(line.find("line n="), std::string::npos) << line;
      ++found;
    }
  EXPECT_EQ(found, static_cast<std::size_t>(kLines));
}

}  // namespace
}  // namespace vnvme
