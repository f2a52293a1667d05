# SPDX-License-Identifier: Apache-2.0
"""Writes a model that a tokenizer and a mock engine can load, without weights: dynamo_model.py DIRECTORY"""

import json
import os
import sys

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

FILES = {
    "config.json": {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "intermediate_size": 128,
                    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4, "vocab_size": 600,
                    "max_position_embeddings": 2048, "bos_token_id": 0, "eos_token_id": 1, "rms_norm_eps": 1e-5, "torch_dtype": "float16"},
    "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "model_max_length": 2048,
                              "chat_template": "{% for m in messages %}{{ m['content'] }}{% endfor %}"},
    "generation_config.json": {"bos_token_id": 0, "eos_token_id": 1},
}

directory = sys.argv[1]
os.makedirs(directory)
tokenizer = Tokenizer(models.BPE())
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
tokenizer.train_from_iterator(
    ["the quick brown fox says hello to everyone in the world"],
    trainers.BpeTrainer(vocab_size=600, special_tokens=["<s>", "</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
tokenizer.save(os.path.join(directory, "tokenizer.json"))
for name, content in FILES.items():
    with open(os.path.join(directory, name), "w") as f:
        json.dump(content, f)
