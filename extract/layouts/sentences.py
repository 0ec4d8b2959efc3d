"""What is said in the synthetic corpora: short lists of sentences by emotion, in English and in Mandarin.

Sentences of neighbouring emotions share words, as those of people do. Small talk fits any emotion.
"""

from __future__ import annotations

import re

OPENINGS = {
    "en": ("Well,", "Look,", "You know,", "So,", "Okay,", "Um,", "I mean,"),
    "zh": ("那个", "嗯", "你看", "其实", "我说", "呃", "反正"),
}
SMALL_TALK = {
    "en": (
        "Did you get the keys from the table?",
        "I was on the phone with my sister.",
        "We are meeting them after dinner.",
        "It is on the other side of the street.",
        "Could you say that again?",
        "He said he would come at seven.",
        "I told you about it last week.",
        "What did the man at the door want?",
        "Let me think about it for a minute.",
        "She works at the bank now.",
    ),
    "zh": (
        "钥匙在桌子上吗",
        "我刚才在打电话",
        "我们吃完饭见面",
        "就在马路对面",
        "你再说一遍",
        "他说七点过来",
        "上星期我跟你说过",
        "让我想一下",
    ),
}
LINES = {
    "en": {
        "anger": (
            "How dare you talk to me like that!",
            "Get out of my house right now!",
            "Stop it, I have had enough of this!",
            "You lied to me again and I hate it!",
            "Don't you ever touch my things!",
            "Shut up and leave me alone!",
            "This is your fault, not mine!",
            "I am so angry I could scream!",
        ),
        "disgust": (
            "Oh, that smell is revolting.",
            "Ew, take that dirty thing away.",
            "I can't eat this, it makes me sick.",
            "That is the most disgusting soup I ever saw.",
            "Yuck, there is hair in my food.",
            "How can you even touch that filthy thing?",
            "His manners are gross, and so are his shoes.",
        ),
        "fear": (
            "Please don't leave me alone in the dark.",
            "I am scared, there is somebody outside.",
            "What if they find out? I am so afraid.",
            "Did you hear that? Lock the door, quick!",
            "Oh no, the plane is shaking, hold my hand.",
            "I am terrified of what he might do.",
            "Be careful, it could fall any minute!",
        ),
        "joy": (
            "That is wonderful news, I am so happy for you!",
            "I love it, it is the best present ever!",
            "We won, can you believe it? We won!",
            "Thank you, this is a perfect day.",
            "Ha, that is so funny, tell it again!",
            "I am so glad that you came!",
            "Great, let's celebrate tonight!",
            "She said yes, we are getting married!",
        ),
        "neutral": (
            "The meeting is on Monday at nine.",
            "I put the letters on your desk.",
            "You can take the bus or walk there.",
            "There are two more boxes in the car.",
            "I will call them in the afternoon.",
            "The bill is for both of us.",
            "He is in the office next to mine.",
            "We need milk and some bread.",
        ),
        "sadness": (
            "I miss her so much since she died.",
            "I can't stop crying, it is over.",
            "Nobody came to my birthday.",
            "I am sorry, I lost the only thing I loved.",
            "He left me, and I feel so alone.",
            "I wish I could say goodbye to him.",
            "It hurts, I don't know what to do any more.",
            "My poor old dog is very sick.",
        ),
        "surprise": (
            "What? You are kidding me!",
            "Oh my goodness, I didn't expect you here!",
            "Wow, where did that come from?",
            "No way, he is your brother?",
            "Since when do you speak French?",
            "Wait, you bought the whole house?",
            "Really? I had no idea!",
            "I can't believe it, all of them?",
        ),
        "frustrated": (
            "I have told you three times, it does not work.",
            "This is the fourth form that they lost.",
            "Why does nobody ever listen to me?",
            "I keep trying, and nothing changes.",
            "Again the wrong line, I waited for an hour.",
            "I don't know how else to explain this.",
            "It is always the same trouble with them.",
        ),
        "boredom": (
            "Is it over yet? I am so bored.",
            "Yes, yes, I have heard this a hundred times.",
            "There is nothing to do here, as always.",
            "Another day, another long list.",
            "I could fall asleep right here.",
            "Whatever, I don't care which one.",
        ),
    },
    "zh": {
        "anger": (
            "你凭什么这么跟我说话",
            "马上给我滚出去",
            "够了我真的受够了",
            "你又骗我我恨你",
            "不许再动我的东西",
            "闭嘴都是你的错",
            "气死我了",
        ),
        "disgust": (
            "这个味道真恶心",
            "快拿走太脏了",
            "我吃不下去想吐",
            "饭里怎么有头发真恶心",
            "你怎么敢碰这么脏的东西",
            "他这个人太让人讨厌了",
        ),
        "fear": (
            "别把我一个人留在这里我害怕",
            "外面好像有人快锁门",
            "万一被发现怎么办",
            "你听见了吗我好怕",
            "小心要掉下来了",
            "我不敢想他会做什么",
        ),
        "joy": (
            "太好了我真替你高兴",
            "这是我收到的最好的礼物",
            "我们赢了真的赢了",
            "谢谢你今天真开心",
            "哈哈太好笑了再讲一遍",
            "你能来我真高兴",
            "她答应了我们要结婚了",
        ),
        "neutral": (
            "会议在星期一上午九点",
            "信我放在你桌上了",
            "可以坐公交车也可以走路",
            "车里还有两个箱子",
            "我下午给他们打电话",
            "要买牛奶和面包",
            "他就在隔壁办公室",
        ),
        "sadness": (
            "她走了以后我一直很想她",
            "我忍不住哭都结束了",
            "生日那天谁也没来",
            "我对不起他再也见不到了",
            "他离开我了我好难过",
            "心里很痛不知道怎么办",
            "可怜的老狗病得很重",
        ),
        "surprise": (
            "什么你开玩笑吧",
            "天哪你怎么在这里",
            "哇这是从哪儿来的",
            "不会吧他是你弟弟",
            "你什么时候会说法语的",
            "真的吗我一点都不知道",
            "等等你把整个房子买了",
        ),
        "frustrated": (
            "我都说了三遍了还是不行",
            "这张表他们又弄丢了",
            "为什么从来没人听我说",
            "试了这么多次一点用也没有",
            "又排错队了等了一个小时",
            "我不知道还能怎么解释",
        ),
        "boredom": (
            "还没完吗真无聊",
            "知道了听过一百遍了",
            "这里什么也没得做",
            "又是一天又是这些事",
            "我都快睡着了",
            "随便哪个都行",
        ),
    },
}


_SIGNS = (*".,?!'’\"-…", "ß", "##ß")  # what stands between words, and a letter that is not among those of English


def spoken(language: str) -> list[str]:
    """Every text of a language."""
    return [*OPENINGS[language], *SMALL_TALK[language], *(line for lines in LINES[language].values() for line in lines)]


def words() -> list[str]:
    """Every word of the English sentences, in order, as a tokenizer splits them, after the signs between words."""
    return [*_SIGNS, *sorted({word for line in spoken("en") for word in re.findall("[a-z]+", line.lower())})]
