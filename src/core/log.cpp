#include "core/log.hpp"

#include <mutex>

#ifndef SPDLOG_HEADER_ONLY
#define SPDLOG_HEADER_ONLY
#endif
#ifndef FMT_HEADER_ONLY
#define FMT_HEADER_ONLY
#endif
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include "core/text.hpp"

namespace vnvme::log {
namespace {

constexpr const char* kPattern = "%Y-%m-%dT%H:%M:%S.%e%z %^%l%$ %v";

spdlog::level::level_enum native(Level level) {
  switch (level) {
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warning:
      return spdlog::level::warn;
    case Level::error:
      return spdlog::level::err;
    case Level::off:
      return spdlog::level::off;
  }
  return spdlog::level::info;
}

// SIGHUP replaces the logger while the thread of the state file may be writing a line: who logs holds on to
// the one that he has, hence shared.
class Current {
 public:
  Current() {
    logger_->set_pattern(kPattern);
    logger_->set_level(spdlog::level::warn);
  }
  std::shared_ptr<spdlog::logger> get() {
    std::lock_guard guard(mutex_);
    return logger_;
  }
  void set(std::shared_ptr<spdlog::logger> next) {
    std::lock_guard guard(mutex_);
    logger_.swap(next);
  }

 private:
  std::mutex mutex_;
  std::shared_ptr<spdlog::logger> logger_ =
      std::make_shared<spdlog::logger>("vnvme", std::make_shared<spdlog::sinks::stderr_sink_mt>());
};

Current& current() {
  static Current instance;
  return instance;
}

}  // namespace

Result<void> setup(Level level, const std::string& path) {
  std::shared_ptr<spdlog::sinks::sink> sink;
  if (path == "-") {
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  } else {
    try {  // spdlog reports by exception; it ends here
      sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path);
    } catch (const std::exception& e) {
      return fail(Errc::io, "cannot write the log file " + path + ": " + e.what());
    }
  }
  auto made = std::make_shared<spdlog::logger>("vnvme", std::move(sink));
  made->set_pattern(kPattern);
  made->set_level(native(level));
  made->flush_on(spdlog::level::info);
  current().set(std::move(made));
  return {};
}

void set_level(Level level) {
  current().get()->set_level(native(level));
}

std::optional<Level> parse_level(std::string_view name) {
  if (name == "debug") return Level::debug;
  if (name == "info") return Level::info;
  if (name == "warning") return Level::warning;
  if (name == "error") return Level::error;
  if (name == "off") return Level::off;
  return std::nullopt;
}

void write(Level level, std::string_view message, std::initializer_list<Field> fields) {
  auto to = current().get();
  if (!to->should_log(native(level))) return;
  to->log(native(level), spdlog::string_view_t(format(message, fields)));
}

std::string format(std::string_view message, std::initializer_list<Field> fields) {
  std::string line = printable(message, 512);
  for (const Field& f : fields) {
    std::string value = printable(f.value, 512);
    bool plain = !value.empty() && value.find_first_of(" =\"") == std::string::npos;
    line += ' ';
    line += f.key;
    line += '=';
    if (plain) {
      line += value;
      continue;
    }
    line += '"';
    for (char c : value) {
      if (c == '"') line += '\\';
      line += c;
    }
    line += '"';
  }
  return line;
}

}  // namespace vnvme::log
