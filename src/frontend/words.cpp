#include "words.hpp"

namespace vnvme::plugin {
namespace {

constexpr int kPositionals = 4;

// The next blank-separated word of a method's `positionals`.
std::string_view next_name(const char*& at) {
  while (*at == ' ') ++at;
  const char* begin = at;
  while (*at != '\0' && *at != ' ') ++at;
  return {begin, static_cast<std::size_t>(at - begin)};
}

bool is_option(const char* word) {
  return std::string_view(word) == "--configuration";
}

// {"configuration":{...}} from all `--configuration KEY VALUE`.
std::string_view add_configuration(Text& out, int from, int argc, const char* const* argv) {
  out.add(R"("configuration":{)");
  bool first = true;
  for (int i = from; i < argc; ++i) {
    if (!is_option(argv[i])) continue;
    if (i + 2 >= argc) return "--configuration wants a key and a value";
    if (!first) out.add(",");
    first = false;
    out.add_quoted(argv[i + 1]).add(":").add_quoted(argv[i + 2]);
    i += 2;
  }
  out.add("},");
  return {};
}

}  // namespace

std::string_view words_to_request(Text& out, const Invocation& call, int argc, const char* const* argv) {
  const char* names = call.method->positionals;
  if (names == nullptr)
    return "this call takes its parameters as JSON on stdin only: add --json (see --help)";
  const char* words[kPositionals];
  int count = 0;
  for (int i = call.words; i < argc; ++i) {
    if (is_option(argv[i]))
      i += 2;
    else if (count == kPositionals)
      return "too many words (see --help)";
    else
      words[count++] = argv[i];
  }
  if (count == 0) return "the first word must be a name for the log, or add --json (see --help)";
  out.add("{");
  int used = 1;
  for (auto name = next_name(names); !name.empty(); name = next_name(names)) {
    if (name == "@configuration") {
      auto problem = add_configuration(out, call.words, argc, argv);
      if (!problem.empty()) return problem;
      continue;
    }
    if (used == count) return "words are missing (see --help)";
    out.add_quoted(name).add(":").add_quoted(words[used++]).add(",");
  }
  if (used != count) return "too many words (see --help)";
  out.add(R"("dbg":)").add_quoted(words[0]).add("}");
  if (out.overflow()) return "the words are longer than the limit of 8 MiB";
  return {};
}

}  // namespace vnvme::plugin
