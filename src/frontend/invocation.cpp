#include "invocation.hpp"

#include <cstring>

namespace vnvme::plugin {
namespace {

constexpr std::string_view kQueue = "org.xen.xapi.storage.";

struct Path {
  std::string_view directory, base;
};

// The last two components of a path. No library: std::filesystem alone would be larger than this program.
Path last_two(std::string_view path) {
  std::size_t base = path.size();
  while (base > 0 && path[base - 1] != '/') --base;
  std::size_t end = base;
  while (end > 0 && path[end - 1] == '/') --end;
  std::size_t begin = end;
  while (begin > 0 && path[begin - 1] != '/') --begin;
  return {{path.data() + begin, end - begin}, {path.data() + base, path.size() - base}};
}

bool is(const char* word, std::string_view what) {
  return std::string_view(word) == what;
}

bool plain_type(std::string_view type) {
  if (type.empty() || type.size() > kNameLimit) return false;
  for (char c : type)
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
      return false;
  return true;
}

bool starts_with_name(std::string_view s) {
  return s.size() >= kQueue.size() && std::memcmp(s.data(), kQueue.data(), kQueue.size()) == 0;
}

void take_type(Invocation& call) {
  if (!starts_with_name(call.directory)) return;
  std::string_view type(call.directory.data() + kQueue.size(), call.directory.size() - kQueue.size());
  if (plain_type(type)) {
    call.sr_type = type;
    return;
  }
  call.mode = Mode::unusable;
  call.problem =
      "the folder of the script must be org.xen.xapi.storage.TYPE, with letters, digits, - and _ in TYPE";
}

Mode mode_of(int argc, const char* const* argv, int from) {
  for (int i = from; i < argc; ++i) {
    if (is(argv[i], "--json") || is(argv[i], "-j")) return Mode::json;
    if (is(argv[i], "--help") || is(argv[i], "-h")) return Mode::help;
    if (is(argv[i], "--version")) return Mode::version;
  }
  return Mode::words;
}

}  // namespace

Invocation parse_invocation(int argc, const char* const* argv, std::string_view (*cwd_name)()) {
  Invocation call;
  call.problem =
      "no script: vnvme-plugin is run by the #! line of SR.attach, Volume.create, ... (see --help)";
  if (argc < 1 || argv[0] == nullptr) return call;
  // A symlink carries the method in argv[0]; the #! line puts the script's path behind the program's.
  auto path = last_two(argv[0]);
  int script = 0;
  if (smapi::find_method(path.base.data(), path.base.size()) == nullptr) {
    if (argc < 2) return call;
    if (argv[1][0] == '-') {
      call.mode = mode_of(2, argv, 1);
      if (call.mode == Mode::json || call.mode == Mode::words) call.mode = Mode::unusable;
      return call;
    }
    script = 1;
    path = last_two(argv[1]);
  }
  call.name = path.base;
  call.directory = path.directory;
  call.words = script + 1;
  call.method = smapi::find_method(path.base.data(), path.base.size());
  call.mode = mode_of(argc, argv, call.words);
  if (call.directory.empty() || call.directory == ".") call.directory = cwd_name();
  if (call.method == nullptr && call.mode != Mode::help && call.mode != Mode::version)
    call.mode = Mode::unknown;
  if (call.mode == Mode::json || call.mode == Mode::words) take_type(call);
  return call;
}

}  // namespace vnvme::plugin
