// The verbs of `vnvme`: one table, from which the command line is read, the
// help is written and the bash completion is made.
#pragma once
#include <chrono>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "cli/terminal.hpp"
#include "vnvme/result.hpp"

namespace vnvme::cli {

enum class Takes { nothing, text, number };

struct Option {
  const char* name;  // "--dpu"
  const char* key;   // member of the request's args
  Takes takes;
  const char* help;
};

struct Positional {
  const char* name;  // as help shows it
  const char* key;
  bool required;
};

struct Verb {
  const char* name;
  const char* summary;
  const char* story;  // what it is for, in a few lines
  std::vector<Positional> positionals;
  std::vector<Option> options;
  std::vector<const char*> examples;
  std::chrono::seconds limit;
  std::string (*show)(const nlohmann::json&, const Terminal&);  // nullptr: more than one request (status)
};

const std::vector<Verb>& verbs();
const Verb* find_verb(std::string_view name);

// Words after the verb -> args of the request. Errc::invalid_argument: a text for the user.
Result<nlohmann::json> read_words(const Verb& verb, std::span<const std::string> words);

std::string general_help();
std::string help_of(const Verb& verb);
std::string bash_completion();
// The verb or option that was probably meant; empty when none is near.
std::string nearest(std::string_view word, const std::vector<std::string>& known);

}  // namespace vnvme::cli
